// One block of tiles of Winograd's convolution: transform, multiply, transform back.
#pragma once

#include <vector>

#include "winograd.h"
#include "winograd_transforms.h"

namespace caffe_fast_rcnn::winograd {

template <int kOutputs, typename Number>
class BlockWorker {
 public:
  using T = Tile<kOutputs>;

  // `inputs` and `products` are as large as the block says.
  BlockWorker(const Convolution<Number>& work, const Block& block, Number* inputs,
              float* products)
      : work_(work),
        block_(block),
        inputs_(inputs),
        products_(products),
        rows_((work.to.height + kOutputs - 1) / kOutputs),
        columns_((work.to.width + kOutputs - 1) / kOutputs),
        nothing_(block.input_stride()),
        bias_(work.panels() * kPanel, 0.f) {
    if (work.bias) std::copy_n(work.bias, work.to.channels, bias_.begin());
  }

  // Into the inputs' rows `row` and following.
  void transform_inputs(Range tiles, int64_t row) {
    const Number* pixels[T::kPositions];
    for (int64_t tile = tiles.first; tile < tiles.last; ++tile, ++row) {
      find_pixels(corner(tile), pixels);
      Number* to = inputs_ + row * block_.input_stride();
      int64_t c = 0;
      for (; c + kLanes <= block_.channels; c += kLanes) transform_channels(pixels, c, to, [](const Number* p) { return load(p); });
      if (c < block_.channels) {
        const int64_t rest = block_.channels - c;
        transform_channels(pixels, c, to, [rest](const Number* p) { return load_some(p, rest); });
      }
    }
  }

  // The outputs of `count` panels from the inputs' rows `row` and following.
  void convolve(Range tiles, int64_t row, int64_t panel, int64_t count) {
    const int64_t size = tiles.last - tiles.first;
    multiply(row, size, panel, count);
    for (int64_t i = 0; i < size; ++i) transform_back(corner(tiles.first + i), i, panel, count);
  }

 private:
  struct Corner {
    int64_t image, y, x;  // of a tile's first output
  };

  Corner corner(int64_t tile) const {
    const int64_t row = tile / columns_;
    return {row / rows_, row % rows_ * kOutputs, tile % columns_ * kOutputs};
  }

  // Where a tile's input pixels are; those of the padding are zeros.
  void find_pixels(Corner at, const Number** pixels) const {
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
  void transform_channels(const Number* const* pixels, int64_t c, Number* to, Load load_pixel) const {
    Vector half[T::kSize][T::kSize], line[T::kSize], values[T::kSize];
#pragma GCC unroll 8
    for (int j = 0; j < T::kSize; ++j) {
#pragma GCC unroll 8
      for (int i = 0; i < T::kSize; ++i) line[i] = load_pixel(pixels[i * T::kSize + j] + c);
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

  void multiply(int64_t row, int64_t size, int64_t panel, int64_t count) const {
    constexpr int kWide = kPanel * kDepth<Number>;     // numbers of a panel's row
    const int64_t length = work_.rows(), panel_size = length * kWide;
    const int64_t plane = work_.panels() * panel_size;
    const int64_t groups = (size + kRows - 1) / kRows;    // of rows, as equal as can be
    for (int64_t position = 0; position < T::kPositions; ++position) {
      const Number* weights = work_.packed + position * plane + panel * panel_size;
      const Rows<const Number> inputs{inputs_ + position * block_.input_plane() +
                                          row * block_.input_stride(),
                                      block_.input_stride()};
      const Rows<float> to{products_ + position * block_.product_plane(), block_.product_stride()};
      for (int64_t p = 0; p < count; ++p) {
        // every group of tiles fetches its share of the next panel
        const Number* next = p + 1 < count ? weights + (p + 1) * panel_size : weights + plane;
        const int64_t step = std::max<int64_t>(kWide / groups, 1);
        for (int64_t g = 0; g < groups; ++g) {
          const int64_t first = size * g / groups, last = size * (g + 1) / groups;
          multiply_panel<kRows>(last - first, inputs.from(first), weights + p * panel_size, length,
                                {to.data + first * to.stride + p * kPanel, to.stride},
                                Ahead<Number>{next + g * step * length, step});
        }
      }
    }
  }

  void transform_back(Corner at, int64_t row, int64_t panel, int64_t count) const {
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
    Number* to = work_.y + work_.to.offset(at.image, at.y, at.x) + output;
    if (lanes == kLanes) {
      store(to, value);
    } else {
      store_some(to, value, lanes);
    }
  }

  const Convolution<Number>& work_;
  const Block block_;
  Number* const inputs_;
  float* const products_;
  const int64_t rows_, columns_;
  const std::vector<Number> nothing_;
  std::vector<float> bias_;
};

}  // namespace caffe_fast_rcnn::winograd
