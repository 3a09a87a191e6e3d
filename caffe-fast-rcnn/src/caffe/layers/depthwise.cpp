// Depthwise convolution, every channel by itself with a kernel of 3 x 3 or 5 x 5, for test nets, on
// maps in channels_last: bias and limits on the way out.
//
// A few neighbouring outputs of a row are computed together, vector by vector along the channels,
// so that an input that several of them need is read once and all memory is read in order.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "checks.h"
#include "clamping.h"

namespace caffe_fast_rcnn {
namespace {

constexpr int kColumns = 7;          // outputs at a time; maps are often multiples of 7 wide
constexpr int64_t kGrain = 1 << 14;  // products that are worth a thread

struct Depthwise {
  int64_t height, width, channels;  // of the input
  int64_t rows, columns;            // of the output
  int64_t pad_h, pad_w;
  const float* x;
  const float* weights;  // (kernel * kernel, channels)
  const float* bias;     // channels numbers
  const float* nothing;  // as many zeros
  float* y;
  Limits limits;

  // Output row `row`, counted through all images.
  template <int kKernel, int kStride>
  void compute(int64_t row) const {
    constexpr int kInputs = (kColumns - 1) * kStride + kKernel;
    const float* pixels[kKernel][kInputs];
    for (int64_t first = 0; first < columns; first += kColumns) {
      find_pixels<kKernel, kStride, kInputs>(row, first, pixels);
      float* to = y + (row * columns + first) * channels;
      const int64_t count = std::min<int64_t>(kColumns, columns - first);
      if (channels < kLanes) {
        const auto load_these = [this](const float* from) { return load_some(from, channels); };
        Vector sums[kColumns];
        add_up<kKernel, kStride, kInputs>(pixels, 0, load_these, sums);
        for (int64_t i = 0; i < count; ++i) store_some(to + i * channels, sums[i], channels);
        continue;
      }
      for (int64_t next = 0; next < channels; next += kLanes) {
        const int64_t c = std::min(next, channels - kLanes);  // the last vector repeats some
        Vector sums[kColumns];
        add_up<kKernel, kStride, kInputs>(pixels, c, load, sums);
        if (count == kColumns) {
#pragma GCC unroll 8
          for (int i = 0; i < kColumns; ++i) store(to + i * channels + c, sums[i]);
        } else {
          for (int64_t i = 0; i < count; ++i) store(to + i * channels + c, sums[i]);
        }
      }
    }
  }

  // Where the inputs of the outputs `first` and following are; those of the padding are zeros.
  template <int kKernel, int kStride, int kInputs>
  void find_pixels(int64_t row, int64_t first, const float* (*pixels)[kInputs]) const {
    const int64_t top = row % rows * kStride - pad_h, left = first * kStride - pad_w;
    const float* image = x + row / rows * height * width * channels;
    for (int i = 0; i < kKernel; ++i) {
      const bool inside = top + i >= 0 && top + i < height;
      const float* line = image + ((top + i) * width + left) * channels;
      for (int j = 0; j < kInputs; ++j, line += channels) {
        pixels[i][j] = inside && left + j >= 0 && left + j < width ? line : nothing;
      }
    }
  }

  // The outputs of the channels c and following.
  template <int kKernel, int kStride, int kInputs, typename Load>
  void add_up(const float* const (*pixels)[kInputs], int64_t c, Load load_at, Vector* sums) const {
    const Vector start = load_at(bias + c);
#pragma GCC unroll 8
    for (int i = 0; i < kColumns; ++i) sums[i] = start;
#pragma GCC unroll 8
    for (int i = 0; i < kKernel; ++i) {
      Vector kernel[kKernel];
#pragma GCC unroll 8
      for (int j = 0; j < kKernel; ++j) {
        kernel[j] = load_at(weights + (i * kKernel + j) * channels + c);
      }
#pragma GCC unroll 32
      for (int j = 0; j < kInputs; ++j) {
        const Vector input = load_at(pixels[i][j] + c);
#pragma GCC unroll 8
        for (int out = 0; out < kColumns; ++out) {
          const int entry = j - out * kStride;
          if (entry >= 0 && entry < kKernel) {
            sums[out] = multiply_add(input, kernel[entry], sums[out]);
          }
        }
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kColumns; ++i) sums[i] = limits.of(sums[i]);
  }
};

template <int kKernel, int kStride>
void run(const Depthwise& work, int64_t images) {
  const int64_t products = work.columns * work.channels * kKernel * kKernel;
  at::parallel_for(0, images * work.rows, kGrain / products + 1, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) work.compute<kKernel, kStride>(row);
  });
}

at::Tensor depthwise_conv(const at::Tensor& x, const at::Tensor& weights, int64_t kernel,
                          const std::optional<at::Tensor>& bias, int64_t stride, int64_t pad_h,
                          int64_t pad_w, double low, double high) {
  constexpr const char* op = "depthwise_conv";
  check_float_on_cpu(op, "x", x, 4);
  check_float_on_cpu(op, "weights", weights, 2);
  TORCH_CHECK_VALUE((kernel == 3 || kernel == 5) && (stride == 1 || stride == 2), op,
                    ": the kernel must be 3 or 5 and the stride 1 or 2, not ", kernel, " and ",
                    stride);
  TORCH_CHECK_VALUE(weights.size(0) == kernel * kernel && weights.size(1) == x.size(1), op,
                    ": weights must come from depthwise_pack for ", x.size(1),
                    " channels and a kernel of ", kernel, ", not be ", weights.sizes());
  TORCH_CHECK_VALUE(pad_h >= 0 && pad_w >= 0, op, ": padding must not be negative, not ", pad_h,
                    ", ", pad_w);
  const int64_t rows = x.size(2) + 2 * pad_h - kernel, columns = x.size(3) + 2 * pad_w - kernel;
  TORCH_CHECK_VALUE(rows >= 0 && columns >= 0, op, ": the kernel does not fit into x ", x.sizes(),
                    " with padding ", pad_h, ", ", pad_w);
  at::Tensor out = at::empty({x.size(0), x.size(1), rows / stride + 1, columns / stride + 1},
                             x.options().memory_format(at::MemoryFormat::ChannelsLast));
  const int64_t channels = x.size(1);
  const at::Tensor from = x.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor packed = weights.contiguous();
  const std::vector<float> nothing(channels, 0.f);
  check_bias(op, bias, channels);
  const at::Tensor addend = bias ? bias->contiguous() : at::Tensor();
  if (out.numel() == 0) return out;
  const Depthwise work{x.size(2),
                       x.size(3),
                       channels,
                       out.size(2),
                       out.size(3),
                       pad_h,
                       pad_w,
                       from.const_data_ptr<float>(),
                       packed.const_data_ptr<float>(),
                       bias ? addend.const_data_ptr<float>() : nothing.data(),
                       nothing.data(),
                       out.mutable_data_ptr<float>(),
                       {static_cast<float>(low), static_cast<float>(high)}};
  if (kernel == 3) {
    stride == 1 ? run<3, 1>(work, x.size(0)) : run<3, 2>(work, x.size(0));
  } else {
    stride == 1 ? run<5, 1>(work, x.size(0)) : run<5, 2>(work, x.size(0));
  }
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def(
      "depthwise_conv(Tensor x, Tensor weights, int kernel, Tensor? bias, int stride, int pad_h, "
      "int pad_w, float low, float high) -> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) { m.impl("depthwise_conv", &depthwise_conv); }

}  // namespace caffe_fast_rcnn
