// Maximum of each window of maps in channels_last, without the places of the maxima: for passes
// that record no gradient. Numbers are those of PyTorch's max_pool2d to the last bit.
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

struct Pooling {
  int64_t height, width, channels;  // of the input
  int64_t rows, columns;            // of the output
  int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
  const float* x;
  float* y;

  struct Span {
    int64_t first, last;
  };

  static Span span(int64_t place, int64_t kernel, int64_t stride, int64_t pad, int64_t size) {
    const int64_t start = place * stride - pad;
    return {std::max<int64_t>(start, 0), std::min(start + kernel, size)};
  }

  // Output row `row`, counted through all images.
  void compute(int64_t row) const {
    const Span ys = span(row % rows, kernel_h, stride_h, pad_h, height);
    const float* image = x + row / rows * height * width * channels;
    for (int64_t column = 0; column < columns; ++column) {
      const Span xs = span(column, kernel_w, stride_w, pad_w, width);
      float* to = y + (row * columns + column) * channels;
      if (ys.first >= ys.last || xs.first >= xs.last) {
        std::fill_n(to, channels, std::numeric_limits<float>::lowest());
        continue;
      }
      const float* from = image + (ys.first * width + xs.first) * channels;
      int64_t c = 0;
      for (; c + kVectors * kLanes <= channels; c += kVectors * kLanes) {
        find_most<kVectors>(from + c, ys.last - ys.first, xs.last - xs.first, to + c);
      }
      for (; c < channels && channels >= kLanes; c += kLanes) {
        const int64_t last = std::min(c, channels - kLanes);  // the last vector repeats some
        find_most<1>(from + last, ys.last - ys.first, xs.last - xs.first, to + last);
      }
      for (; c < channels; ++c) {
        find_most_of_one(from + c, ys.last - ys.first, xs.last - xs.first, to + c);
      }
    }
  }

  // The maxima of kCount vectors of channels over a window; NaN where there is one.
  template <int kCount>
  void find_most(const float* from, int64_t window_h, int64_t window_w, float* to) const {
    Vector most[kCount];
    decltype(most[0] != most[0]) is_nan[kCount];
#pragma GCC unroll 8
    for (int v = 0; v < kCount; ++v) {
      most[v] = load(from + v * kLanes);
      is_nan[v] = most[v] != most[v];
    }
    for (int64_t i = 0; i < window_h; ++i) {
      const float* pixel = from + i * width * channels;
      for (int64_t j = 0; j < window_w; ++j, pixel += channels) {
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

  void find_most_of_one(const float* from, int64_t window_h, int64_t window_w, float* to) const {
    float most = *from;
    for (int64_t i = 0; i < window_h; ++i) {
      for (int64_t j = 0; j < window_w; ++j) {
        const float value = from[(i * width + j) * channels];
        most = value > most || value != value ? value : most;
      }
    }
    *to = most;
  }
};

at::Tensor max_pool(const at::Tensor& x, at::IntArrayRef kernel, at::IntArrayRef stride,
                    at::IntArrayRef pad, at::IntArrayRef counts) {
  constexpr const char* op = "max_pool";
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
                     for (int64_t row = first; row < last; ++row) work.compute(row);
                   });
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def("max_pool(Tensor x, int[] kernel, int[] stride, int[] pad, int[] counts) -> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) { m.impl("max_pool", &max_pool); }

}  // namespace caffe_fast_rcnn
