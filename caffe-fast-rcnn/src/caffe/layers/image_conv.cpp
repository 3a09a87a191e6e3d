// Convolution of maps of few channels, which the first of a net reads, for test nets: any kernel,
// stride and padding, planar or channels_last in, channels_last out, with bias and limits on the way
// out.
//
// For every row of outputs, the rows of inputs under it are copied side by side, with zeros for the
// padding. The number k of a kernel's entries then lies at the same distance, offsets[k], from the
// first input of every output, and a group of neighbouring outputs is a product of few inputs and a
// panel of packed weights, with all sums in registers.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <vector>

#include "checks.h"
#include "clamping.h"
#include "winograd_product.h"

namespace caffe_fast_rcnn {
namespace {

using winograd::kPanel;

// Pixels at a time for which the registers hold kVectors vectors of sums each, as many of weights
// and a broadcast input.
template <int kVectors>
constexpr int kPixels = (kRegisters - 1 - kVectors) / kVectors;

constexpr int64_t kGrain = 1 << 16;  // products that are worth a thread

struct Size {
  int64_t height, width;
};

// What is copied for a row of outputs, in the order of the image: `lines` runs of `inner` numbers
// from every row under the kernel, which are whole pixels (channels_last) or one channel (planar).
struct Window {
  int64_t channels;
  Size image, kernel, stride, pad;
  bool is_planar;

  int64_t planes() const { return is_planar ? channels : 1; }
  int64_t pixel() const { return is_planar ? 1 : channels; }  // numbers from a pixel to the next
  int64_t line() const { return (image.width + 2 * pad.width) * pixel(); }
  int64_t numbers() const { return planes() * kernel.height * line(); }

  // Where the inputs of an output are, in the order of the weights (C, kernel_h, kernel_w).
  std::vector<int64_t> offsets() const {
    std::vector<int64_t> found;
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t start = is_planar ? c * kernel.height * line() : c;
      for (int64_t i = 0; i < kernel.height; ++i) {
        for (int64_t j = 0; j < kernel.width; ++j) {
          found.push_back(start + i * line() + j * pixel());
        }
      }
    }
    return found;
  }

  // The lines under output row `row` of an image; what is left and right of them in `to` is zero
  // and stays so.
  void copy(const float* from, int64_t row, float* to) const {
    const int64_t width = image.width * pixel(), top = row * stride.height - pad.height;
    to += pad.width * pixel();
    for (int64_t plane = 0; plane < planes(); ++plane, from += image.height * width) {
      for (int64_t y = top; y < top + kernel.height; ++y, to += line()) {
        if (y >= 0 && y < image.height) {
          std::copy_n(from + y * width, width, to);
        } else {
          std::fill_n(to, width, 0.f);
        }
      }
    }
  }
};

struct ImageConv {
  Window window;
  int64_t outputs, rows, columns;
  const float* x;
  const float* packed;  // (K, packed_row)
  const float* bias;    // `outputs` numbers, or null
  float* y;
  Limits limits;
  const int64_t* offsets;
  int64_t length;  // K, the numbers of a kernel
  int64_t packed_row;

  int64_t pixel_step() const { return window.stride.width * window.pixel(); }

  void compute_row(const float* lines, float* to) const {
    static const int way = getenv("WAY") ? atoi(getenv("WAY")) : 2;
    switch (way) {
      case 1: return compute_row<1>(lines, to);
      case 2: return compute_row<2>(lines, to);
      case 3: return compute_row<3>(lines, to);
      case 4: return compute_row<4>(lines, to);
      case 6: return compute_row<6>(lines, to);
    }
  }

  // Output rows first ... last - 1, counted through all images.
  void compute(int64_t first, int64_t last) const {
    const int64_t image = window.channels * window.image.height * window.image.width;
    std::vector<float> lines(window.numbers());
    for (int64_t row = first; row < last; ++row) {
      window.copy(x + row / rows * image, row % rows, lines.data());
      compute_row(lines.data(), y + row * columns * outputs);
    }
  }

  // In groups of pixels that are as equal as can be, and for each, of vectors of outputs.
  template <int kVectors>
  void compute_row(const float* lines, float* to) const {
    constexpr int kMost = kPixels<kVectors>;
    const int64_t groups = (columns + kMost - 1) / kMost, step = pixel_step();
    const int64_t vectors = (outputs + kLanes - 1) / kLanes;
    for (int64_t group = 0; group < groups; ++group) {
      const int64_t begin = columns * group / groups, end = columns * (group + 1) / groups;
      for (int64_t v = 0; v < vectors; v += kVectors) {
        multiply_some<kVectors, kMost>(end - begin, lines + begin * step, v * kLanes,
                                       to + begin * outputs + v * kLanes);
      }
    }
  }

  template <int kVectors, int kCount>
  void multiply_some(int64_t count, const float* inputs, int64_t output, float* to) const {
    if constexpr (kCount > 0) {
      count == kCount ? multiply<kVectors, kCount>(inputs, output, to)
                      : multiply_some<kVectors, kCount - 1>(count, inputs, output, to);
    }
  }

  // The outputs `output` and following, kVectors of them, at kCount pixels.
  template <int kVectors, int kCount>
  __attribute__((noinline)) void multiply(const float* inputs, int64_t output, float* to) const {
    const int64_t step = pixel_step();
    Vector sums[kCount][kVectors];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      const Vector start = start_of(output + v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < kCount; ++i) sums[i][v] = start;
    }
#ifndef NOPRE
#pragma GCC unroll 16
    for (int i = 0; i < kCount; ++i) {
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) __builtin_prefetch(to + i * outputs + v * kLanes, 1);
    }
#endif
    const float* weights = packed + output;
    for (int64_t k = 0; k < length; ++k, weights += packed_row) {
      const float* from = inputs + offsets[k];
      Vector factors[kVectors];
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) factors[v] = load(weights + v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < kCount; ++i) {
        const Vector input = splat(from[i * step]);
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) {
          sums[i][v] = multiply_add(input, factors[v], sums[i][v]);
        }
      }
    }
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      const int64_t lanes = std::min<int64_t>(kLanes, outputs - output - v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < kCount; ++i) {
        float* there = to + i * outputs + v * kLanes;
        const Vector value = limits.of(sums[i][v]);
        lanes == kLanes ? store(there, value) : store_some(there, value, lanes);
      }
    }
  }

  Vector start_of(int64_t output) const {
    if (!bias) return Vector{};
    const int64_t lanes = std::min<int64_t>(kLanes, outputs - output);
    return lanes == kLanes ? load(bias + output) : load_some(bias + output, lanes);
  }
};

at::Tensor image_conv(const at::Tensor& x, const at::Tensor& packed, int64_t out_channels,
                      at::IntArrayRef kernel, const OptionalTensor& bias, at::IntArrayRef stride,
                      at::IntArrayRef pad, double low, double high) {
  constexpr const char* op = "image_conv";
  check_float_on_cpu(op, "x", x, 4);
  check_float_on_cpu(op, "packed", packed, 2);
  TORCH_CHECK_VALUE(kernel.size() == 2 && stride.size() == 2 && pad.size() == 2 &&
                        std::min({kernel[0], kernel[1], stride[0], stride[1]}) > 0 &&
                        std::min(pad[0], pad[1]) >= 0,
                    op, ": kernel and stride must be two positive numbers each, padding two that "
                    "are not negative, not ", kernel, ", ", stride, " and ", pad);
  TORCH_CHECK_VALUE(out_channels > 0 && packed.size(0) == x.size(1) * kernel[0] * kernel[1] &&
                        packed.size(1) == (out_channels + kPanel - 1) / kPanel * kPanel,
                    op, ": packed must come from image_pack for ", x.size(1), " channels, ",
                    out_channels, " outputs and a kernel of ", kernel, ", not be ",
                    packed.sizes());
  const int64_t rows = x.size(2) + 2 * pad[0] - kernel[0];
  const int64_t columns = x.size(3) + 2 * pad[1] - kernel[1];
  TORCH_CHECK_VALUE(rows >= 0 && columns >= 0, op, ": the kernel ", kernel,
                    " does not fit into x ", x.sizes(), " with padding ", pad);
  at::Tensor addend;
  if (bias) {
    check_float_on_cpu(op, "bias", *bias, 1);
    TORCH_CHECK_VALUE(bias->size(0) == out_channels, op, ": bias must be (", out_channels,
                      ",), not ", bias->sizes());
    addend = bias->contiguous();
  }
  at::Tensor out =
      at::empty({x.size(0), out_channels, rows / stride[0] + 1, columns / stride[1] + 1},
                x.options().memory_format(at::MemoryFormat::ChannelsLast));
  if (out.numel() == 0) return out;
  const bool is_planar = !x.is_contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor from = is_planar ? x.contiguous() : x, weights = packed.contiguous();
  const Window window{x.size(1),
                      {x.size(2), x.size(3)},
                      {kernel[0], kernel[1]},
                      {stride[0], stride[1]},
                      {pad[0], pad[1]},
                      is_planar};
  const std::vector<int64_t> offsets = window.offsets();
  const ImageConv work{window,
                       out_channels,
                       out.size(2),
                       out.size(3),
                       from.const_data_ptr<float>(),
                       weights.const_data_ptr<float>(),
                       bias ? addend.const_data_ptr<float>() : nullptr,
                       out.mutable_data_ptr<float>(),
                       {static_cast<float>(low), static_cast<float>(high)},
                       offsets.data(),
                       static_cast<int64_t>(offsets.size()), weights.size(1)};
  const int64_t products = work.length * work.columns * out_channels;
  at::parallel_for(0, x.size(0) * work.rows, kGrain / std::max<int64_t>(products, 1) + 1,
                   [&](int64_t first, int64_t last) { work.compute(first, last); });
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def(
      "image_conv(Tensor x, Tensor packed, int out_channels, int[] kernel, Tensor? bias, "
      "int[] stride, int[] pad, float low, float high) -> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) { m.impl("image_conv", &image_conv); }

}  // namespace caffe_fast_rcnn
