// Maximum or average of each window of maps in channels_last, without the places of the maxima: for
// passes that record no gradient. Numbers are those of PyTorch's max_pool2d and avg_pool2d to the
// last bit.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <limits>

#include "vectors.h"

namespace caffe_fast_rcnn {
namespace {

constexpr int64_t kGrain = 1 << 14;  // values read that are worth a thread

constexpr int kVectors = 4;          // at a time, so that one need not wait for another

// What of a window lies inside the input.
struct Window {
  const float* from;          // its first pixel
  int64_t rows, columns;
  int64_t line, pixel;        // numbers from a row, and from a pixel, to the next
  float size;                 // with its part in the padding
};

struct Maximum {
  static constexpr const char* kName = "max_pool";

  static float of_nothing(float) { return std::numeric_limits<float>::lowest(); }

  // The maxima of kCount vectors of channels; NaN where there is one.
  template <int kCount>
  static void of(const Window& window, int64_t channel, float* to) {
    const float* from = window.from + channel;
    Vector most[kCount];
    decltype(most[0] != most[0]) is_nan[kCount];
#pragma GCC unroll 8
    for (int v = 0; v < kCount; ++v) {
      most[v] = load(from + v * kLanes);
      is_nan[v] = most[v] != most[v];
    }
    for (int64_t i = 0; i < window.rows; ++i) {
      const float* pixel = from + i * window.line;
      for (int64_t j = 0; j < window.columns; ++j, pixel += window.pixel) {
#pragma GCC unroll 8
        for (int v = 0; v < kCount; ++v) {
          const Vector value = load(pixel + v * kLanes);
          most[v] = value > most[v] ? value : most[v];
          is_nan[v] |= value != value;
        }
      }
    }
#pragma GCC unroll 8
    for (int v = 0; v < kCount; ++v) {
      store(to + v * kLanes,
            is_nan[v] ? splat(std::numeric_limits<float>::quiet_NaN()) : most[v]);
    }
  }

  static float of_one(const Window& window, int64_t channel) {
    float most = window.from[channel];
    for (int64_t i = 0; i < window.rows; ++i) {
      for (int64_t j = 0; j < window.columns; ++j) {
        const float value = window.from[i * window.line + j * window.pixel + channel];
        most = value > most || value != value ? value : most;
      }
    }
    return most;
  }
};

struct Average {
  static constexpr const char* kName = "average_pool";

  static float of_nothing(float size) { return 0.f / size; }

  // The averages of kCount vectors of channels, summed up in the order of the pixels.
  template <int kCount>
  static void of(const Window& window, int64_t channel, float* to) {
    Vector sums[kCount] = {};
    for (int64_t i = 0; i < window.rows; ++i) {
      const float* pixel = window.from + i * window.line + channel;
      for (int64_t j = 0; j < window.columns; ++j, pixel += window.pixel) {
#pragma GCC unroll 8
        for (int v = 0; v < kCount; ++v) sums[v] += load(pixel + v * kLanes);
      }
    }
#pragma GCC unroll 8
    for (int v = 0; v < kCount; ++v) store(to + v * kLanes, sums[v] / splat(window.size));
  }

  static float of_one(const Window& window, int64_t channel) {
    float sum = 0.f;
    for (int64_t i = 0; i < window.rows; ++i) {
      for (int64_t j = 0; j < window.columns; ++j) {
        sum += window.from[i * window.line + j * window.pixel + channel];
      }
    }
    return sum / window.size;
  }
};

struct Pooling {
  int64_t height, width, channels;  // of the input
  int64_t rows, columns;            // of the output
  int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
  const float* x;
  float* y;

  // Where a window lies along an axis, and how long it is with its part in the padding.
  struct Span {
    int64_t first, last, length;
  };

  static Span span(int64_t place, int64_t kernel, int64_t stride, int64_t pad, int64_t size) {
    const int64_t start = place * stride - pad;
    return {std::max<int64_t>(start, 0), std::min(start + kernel, size),
            std::min(start + kernel, size + pad) - start};
  }

  // Output row `row`, counted through all images.
  template <typename Reduction>
  void compute(int64_t row) const {
    const Span ys = span(row % rows, kernel_h, stride_h, pad_h, height);
    const float* image = x + row / rows * height * width * channels;
    for (int64_t column = 0; column < columns; ++column) {
      const Span xs = span(column, kernel_w, stride_w, pad_w, width);
      float* to = y + (row * columns + column) * channels;
      const float size = static_cast<float>(ys.length * xs.length);
      if (ys.first >= ys.last || xs.first >= xs.last) {
        std::fill_n(to, channels, Reduction::of_nothing(size));
        continue;
      }
      reduce<Reduction>({image + (ys.first * width + xs.first) * channels, ys.last - ys.first,
                         xs.last - xs.first, width * channels, channels, size},
                        to);
    }
  }

  template <typename Reduction>
  void reduce(const Window& window, float* to) const {
    int64_t c = 0;
    for (; c + kVectors * kLanes <= channels; c += kVectors * kLanes) {
      Reduction::template of<kVectors>(window, c, to + c);
    }
    for (; c < channels && channels >= kLanes; c += kLanes) {
      const int64_t last = std::min(c, channels - kLanes);  // the last vector repeats some
      Reduction::template of<1>(window, last, to + last);
    }
    for (; c < channels; ++c) to[c] = Reduction::of_one(window, c);
  }
};

template <typename Reduction>
at::Tensor pool(const at::Tensor& x, at::IntArrayRef kernel, at::IntArrayRef stride,
                at::IntArrayRef pad, at::IntArrayRef counts) {
  constexpr const char* op = Reduction::kName;
  TORCH_CHECK_VALUE(x.dim() == 4 && x.scalar_type() == at::kFloat && x.device().is_cpu(), op,
                    ": x must be (N, C, H, W), float32 on the CPU, not ", x.sizes(), ", ",
                    x.scalar_type(), " on ", x.device());
  for (const auto& numbers : {kernel, stride, pad, counts}) {
    TORCH_CHECK_VALUE(numbers.size() == 2 && std::min(numbers[0], numbers[1]) >= 0, op,
                      ": kernel, stride, pad and counts must be two numbers each, none negative");
  }
  TORCH_CHECK_VALUE(std::min({kernel[0], kernel[1], stride[0], stride[1]}) > 0, op,
                    ": kernel and stride must be positive, not ", kernel, " and ", stride);
  at::Tensor out = at::empty({x.size(0), x.size(1), counts[0], counts[1]},
                             x.options().memory_format(at::MemoryFormat::ChannelsLast));
  if (out.numel() == 0) return out;
  const at::Tensor from = x.contiguous(at::MemoryFormat::ChannelsLast);
  const Pooling work{x.size(2),
                     x.size(3),
                     x.size(1),
                     counts[0],
                     counts[1],
                     kernel[0],
                     kernel[1],
                     stride[0],
                     stride[1],
                     pad[0],
                     pad[1],
                     from.const_data_ptr<float>(),
                     out.mutable_data_ptr<float>()};
  const int64_t values = counts[1] * x.size(1) * kernel[0] * kernel[1];
  at::parallel_for(0, x.size(0) * counts[0], kGrain / std::max<int64_t>(values, 1) + 1,
                   [&](int64_t first, int64_t last) {
                     for (int64_t row = first; row < last; ++row) work.compute<Reduction>(row);
                   });
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def("max_pool(Tensor x, int[] kernel, int[] stride, int[] pad, int[] counts) -> Tensor");
  m.def("average_pool(Tensor x, int[] kernel, int[] stride, int[] pad, int[] counts) -> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) {
  m.impl("max_pool", &pool<Maximum>);
  m.impl("average_pool", &pool<Average>);
}

}  // namespace caffe_fast_rcnn
