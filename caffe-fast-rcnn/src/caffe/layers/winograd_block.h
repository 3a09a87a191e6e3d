// One block of tiles of Winograd's convolution: transform, multiply, transform back.
#pragma once

#include <vector>

#include "winograd.h"
#include "winograd_transforms.h"

namespace caffe_fast_rcnn::winograd {

template <int kOutputs>
class BlockWorker {
 public:
  using T = Tile<kOutputs>;

  BlockWorker(const Convolution& work, const Block& block, float* scratch)
      : work_(work),
        block_(block),
        inputs_(scratch),
        products_(scratch + T::kPositions * block.input_plane()),
        rows_((work.to.height + kOutputs - 1) / kOutputs),
        columns_((work.to.width + kOutputs - 1) / kOutputs),
        nothing_(block.input_stride(), 0.f),
        bias_(work.panels() * kPanel, 0.f) {
    if (work.bias) std::copy_n(work.bias, work.to.channels, bias_.begin());
  }

  // Tiles first ... last - 1, counted along the rows of all images.
  void run(int64_t first, int64_t last) {
    transform_inputs(first, last);
    for (int64_t panel = 0; panel < work_.panels(); panel += block_.panels) {
      const int64_t count = std::min(block_.panels, work_.panels() - panel);
      multiply(last - first, panel, count);
      for (int64_t tile = first; tile < last; ++tile) transform_back(tile, tile - first, panel, count);
    }
  }

 private:
  struct Corner {
    int64_t image, y, x;  // of a tile's first output
  };

  Corner corner(int64_t tile) const {
    const int64_t row = tile / columns_;
    return {row / rows_, row % rows_ * kOutputs, tile % columns_ * kOutputs};
  }

  void transform_inputs(int64_t first, int64_t last) {
    const float* pixels[T::kPositions];
    for (int64_t tile = first; tile < last; ++tile) {
      find_pixels(corner(tile), pixels);
      float* to = inputs_ + (tile - first) * block_.input_stride();
      int64_t c = 0;
      for (; c + kLanes <= block_.channels; c += kLanes) transform_channels(pixels, c, to, load);
      if (c < block_.channels) {
        const int64_t rest = block_.channels - c;
        transform_channels(pixels, c, to, [rest](const float* p) { return load_some(p, rest); });
      }
    }
    clear_rows(last - first);
  }

  // The products take kRows tiles at a time; those beyond the last are zeros.
  void clear_rows(int64_t tiles) {
    const int64_t stride = block_.input_stride(), end = rounded_up(tiles, kRows);
    if (tiles == end) return;
    for (int64_t position = 0; position < T::kPositions; ++position) {
      float* rows = inputs_ + position * block_.input_plane();
      std::fill(rows + tiles * stride, rows + end * stride, 0.f);
    }
  }

  // Where a tile's input pixels are; those of the padding are zeros.
  void find_pixels(Corner at, const float** pixels) const {
    const Map& map = work_.from;
    for (int64_t i = 0; i < T::kSize; ++i) {
      for (int64_t j = 0; j < T::kSize; ++j) {
        const int64_t y = at.y - work_.pad_h + i, x = at.x - work_.pad_w + j;
        const bool inside = y >= 0 && y < map.height && x >= 0 && x < map.width;
        pixels[i * T::kSize + j] = inside ? work_.x + map.offset(at.image, y, x) : nothing_.data();
      }
    }
  }

  template <typename Load>
  void transform_channels(const float* const* pixels, int64_t c, float* to, Load load) const {
    Vector half[T::kSize][T::kSize], line[T::kSize], values[T::kSize];
#pragma GCC unroll 8
    for (int j = 0; j < T::kSize; ++j) {
#pragma GCC unroll 8
      for (int i = 0; i < T::kSize; ++i) line[i] = load(pixels[i * T::kSize + j] + c);
      T::of_input(line, values);
#pragma GCC unroll 8
      for (int i = 0; i < T::kSize; ++i) half[i][j] = values[i];
    }
#pragma GCC unroll 8
    for (int i = 0; i < T::kSize; ++i) {
      T::of_input(half[i], values);
#pragma GCC unroll 8
      for (int j = 0; j < T::kSize; ++j) {
        store(to + (i * T::kSize + j) * block_.input_plane() + c, values[j]);
      }
    }
  }

  void multiply(int64_t tiles, int64_t panel, int64_t count) const {
    const int64_t channels = block_.channels, stride = block_.product_stride();
    for (int64_t position = 0; position < T::kPositions; ++position) {
      const float* weights =
          work_.packed + (position * work_.panels() + panel) * channels * kPanel;
      const float* inputs = inputs_ + position * block_.input_plane();
      float* to = products_ + position * block_.product_plane();
      for (int64_t p = 0; p < count; ++p) {
        for (int64_t row = 0; row < tiles; row += kRows) {
          multiply_panel(inputs + row * block_.input_stride(), block_.input_stride(),
                         weights + p * channels * kPanel, channels, to + row * stride + p * kPanel,
                         stride, (p + 1 < count ? weights + (p+1) * channels * kPanel : weights + work_.panels() * channels * kPanel) + row / kRows * (channels * kPanel / (block_.tiles / kRows)), kPanel / (block_.tiles / kRows));
        }
      }
    }
  }

  void transform_back(int64_t tile, int64_t row, int64_t panel, int64_t count) const {
    const Corner at = corner(tile);
    const float* products = products_ + row * block_.product_stride();
    for (int64_t v = 0; v < 2 * count; ++v) {
      const int64_t output = panel * kPanel + v * kLanes;
      if (output >= work_.to.channels) return;
      Vector values[kOutputs][kOutputs];
      transform_products(products + v * kLanes, load(&bias_[output]), values);
      write_outputs(values, at, output);
    }
  }

  void transform_products(const float* products, Vector bias,
                          Vector (*values)[kOutputs]) const {
    Vector half[kOutputs][T::kSize], line[T::kSize], column[kOutputs];
#pragma GCC unroll 8
    for (int j = 0; j < T::kSize; ++j) {
#pragma GCC unroll 8
      for (int i = 0; i < T::kSize; ++i) {
        line[i] = load(products + (i * T::kSize + j) * block_.product_plane());
      }
      T::of_output(line, column);
#pragma GCC unroll 8
      for (int i = 0; i < kOutputs; ++i) half[i][j] = column[i];
    }
#pragma GCC unroll 8
    for (int i = 0; i < kOutputs; ++i) {
      T::of_output(half[i], values[i]);
#pragma GCC unroll 8
      for (int j = 0; j < kOutputs; ++j) values[i][j] += bias;
    }
  }

  void write_outputs(const Vector (*values)[kOutputs], Corner at, int64_t output) const {
    const int64_t lanes = std::min<int64_t>(kLanes, work_.to.channels - output);
    const int64_t height = std::min<int64_t>(kOutputs, work_.to.height - at.y);
    const int64_t width = std::min<int64_t>(kOutputs, work_.to.width - at.x);
    for (int64_t i = 0; i < height; ++i) {
      for (int64_t j = 0; j < width; ++j) {
        write_pixel({at.image, at.y + i, at.x + j}, output, lanes, values[i][j]);
      }
    }
  }

  void write_pixel(Corner at, int64_t output, int64_t lanes, Vector value) const {
    if (work_.residual) {
      value += load_some(work_.residual + work_.residual_map.offset(at.image, at.y, at.x) + output,
                         lanes);
    }
    if (work_.relu) value = rectified(value);
    float* to = work_.y + work_.to.offset(at.image, at.y, at.x) + output;
    if (lanes == kLanes) {
      store(to, value);
    } else {
      store_some(to, value, lanes);
    }
  }

  const Convolution& work_;
  const Block block_;
  float* const inputs_;
  float* const products_;
  const int64_t rows_, columns_;
  const std::vector<float> nothing_;
  std::vector<float> bias_;
};

}  // namespace caffe_fast_rcnn::winograd
