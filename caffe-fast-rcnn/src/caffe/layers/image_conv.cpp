// Convolution of maps of few channels, as the first of a net that sees images, for test nets: any
// kernel, stride and padding, planar or channels_last in, channels_last out, with bias and limits on
// the way out.
//
// For every row of outputs, the rows of inputs that it needs are copied side by side, with zeros for
// the padding. The input for entry k of the kernel then lies offsets[k] behind the first input of
// every output, and a few neighbouring outputs are a product of inputs and packed weights with all
// sums in registers.
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

constexpr int64_t kPageFloats = 1024;  // of 4096 bytes
constexpr int64_t kGrain = 1 << 16;    // products that are worth a thread

// At most so many vectors of outputs at a time: the wider, the longer the runs that are written.
constexpr int kWidest = 4;

// At how many pixels at a time: for each, registers hold that many vectors of sums, beside as many
// of weights and a broadcast input.
constexpr int pixels_for(int vectors) {
  return std::min((kRegisters - 1 - vectors) / vectors, kRegisters == 32 ? 14 : 6);
}

struct Size {
  int64_t height, width;
};

// Which inputs a row of outputs needs, and where they are copied to: planar maps channel by channel,
// the lines of each below each other; maps in channels_last line by line.
struct Window {
  int64_t channels;
  Size image, kernel, stride, pad;
  bool is_planar;

  int64_t planes() const { return is_planar ? channels : 1; }
  int64_t pixel() const { return is_planar ? 1 : channels; }  // numbers from a pixel to the next
  int64_t step() const { return stride.width * pixel(); }     // from an output's to the next one's
  int64_t line() const { return (image.width + 2 * pad.width) * pixel(); }
  int64_t numbers() const { return planes() * kernel.height * line(); }

  // In the order of the weights, (C, kernel_h, kernel_w).
  std::vector<int64_t> offsets() const {
    std::vector<int64_t> found;
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t first = is_planar ? c * kernel.height * line() : c;
      for (int64_t i = 0; i < kernel.height; ++i) {
        for (int64_t j = 0; j < kernel.width; ++j) {
          found.push_back(first + i * line() + j * pixel());
        }
      }
    }
    return found;
  }

  // What output row `row` of the image `from` needs; `to` is zero left and right of the lines, and
  // stays so.
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
  const float* packed;  // (entries of the kernel, packed_outputs)
  int64_t packed_outputs;
  const float* bias;    // `outputs` numbers, or null
  float* y;
  Limits limits;
  std::vector<int64_t> offsets;

  // Output rows first ... last - 1, counted through all images.
  void compute(int64_t first, int64_t last) const {
    const int64_t image = window.channels * window.image.height * window.image.width;
    const int64_t size = columns * outputs;
    std::vector<float> lines(window.numbers());
    for (int64_t row = first; row < last; ++row) {
      float* to = y + row * size;
      // Memory that is new costs less when its pages are asked for one after the other.
      for (int64_t i = 0; i < size; i += kPageFloats) to[i] = 0;
      window.copy(x + row / rows * image, row % rows, lines.data());
      compute_row(lines.data(), to);
    }
  }

  // In groups of pixels, and for each in groups of vectors of outputs; both as equal as can be.
  void compute_row(const float* lines, float* to) const {
    const int64_t vectors = (outputs + kLanes - 1) / kLanes;
    const int64_t parts = (vectors + kWidest - 1) / kWidest;
    const int64_t most = pixels_for(static_cast<int>((vectors + parts - 1) / parts));
    const int64_t groups = (columns + most - 1) / most;
    for (int64_t group = 0; group < groups; ++group) {
      const int64_t begin = columns * group / groups, end = columns * (group + 1) / groups;
      for (int64_t part = 0; part < parts; ++part) {
        const int64_t first = vectors * part / parts, last = vectors * (part + 1) / parts;
        multiply_vectors<kWidest>(last - first, end - begin, lines + begin * window.step(),
                                  first * kLanes, to + begin * outputs + first * kLanes);
      }
    }
  }

  // The outputs `output` and following, so many vectors of them, at `count` pixels.
  template <int kVectors>
  void multiply_vectors(int64_t vectors, int64_t count, const float* inputs, int64_t output,
                        float* to) const {
    if constexpr (kVectors > 0) {
      vectors == kVectors
          ? multiply_pixels<kVectors, pixels_for(kVectors)>(count, inputs, output, to)
          : multiply_vectors<kVectors - 1>(vectors, count, inputs, output, to);
    }
  }

  template <int kVectors, int kCount>
  void multiply_pixels(int64_t count, const float* inputs, int64_t output, float* to) const {
    if constexpr (kCount > 0) {
      count == kCount ? multiply<kVectors, kCount>(inputs, output, to)
                      : multiply_pixels<kVectors, kCount - 1>(count, inputs, output, to);
    }
  }

  template <int kVectors, int kCount>
  __attribute__((noinline)) void multiply(const float* inputs, int64_t output, float* to) const {
    Vector sums[kCount][kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const Vector start = start_of(output + v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < kCount; ++i) sums[i][v] = start;
    }
    const float* weights = packed + output;
    const int64_t step = window.step();
    // The memory of the next pixels' outputs is fetched meanwhile, a part for every entry.
    const float* ahead = to + kCount * outputs;
    const int64_t part = kCount * outputs / static_cast<int64_t>(offsets.size());
    for (const int64_t offset : offsets) {
      __builtin_prefetch(ahead, 1);
      ahead += part;
      Vector factors[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) factors[v] = load(weights + v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < kCount; ++i) {
        const Vector input = splat(inputs[offset + i * step]);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
          sums[i][v] = multiply_add(input, factors[v], sums[i][v]);
        }
      }
      weights += packed_outputs;
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const int64_t lanes = lanes_from(output + v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < kCount; ++i) {
        float* there = to + i * outputs + v * kLanes;
        const Vector result = limits.of(sums[i][v]);
        lanes == kLanes ? store(there, result) : store_some(there, result, lanes);
      }
    }
  }

  int64_t lanes_from(int64_t output) const { return std::min<int64_t>(kLanes, outputs - output); }

  Vector start_of(int64_t output) const {
    if (!bias) return Vector{};
    const int64_t lanes = lanes_from(output);
    return lanes == kLanes ? load(bias + output) : load_some(bias + output, lanes);
  }
};

void check_geometry(const char* op, const at::Tensor& x, at::IntArrayRef kernel,
                    at::IntArrayRef stride, at::IntArrayRef padding) {
  TORCH_CHECK_VALUE(kernel.size() == 2 && std::min(kernel[0], kernel[1]) > 0, op,
                    ": kernel must be two positive numbers, not ", kernel);
  TORCH_CHECK_VALUE(stride.size() == 2 && std::min(stride[0], stride[1]) > 0, op,
                    ": stride must be two positive numbers, not ", stride);
  TORCH_CHECK_VALUE(padding.size() == 2 && std::min(padding[0], padding[1]) >= 0, op,
                    ": padding must be two numbers that are not negative, not ", padding);
  TORCH_CHECK_VALUE(x.size(2) + 2 * padding[0] >= kernel[0] &&
                        x.size(3) + 2 * padding[1] >= kernel[1],
                    op, ": the kernel ", kernel, " does not fit into x ", x.sizes(),
                    " with padding ", padding);
}

at::Tensor image_conv(const at::Tensor& x, const at::Tensor& packed, int64_t out_channels,
                      at::IntArrayRef kernel, const OptionalTensor& bias, at::IntArrayRef stride,
                      at::IntArrayRef padding, double low, double high) {
  constexpr const char* op = "image_conv";
  check_float_on_cpu(op, "x", x, 4);
  check_float_on_cpu(op, "packed", packed, 2);
  TORCH_CHECK_VALUE(x.size(1) > 0, op, ": x must have channels, not be ", x.sizes());
  check_geometry(op, x, kernel, stride, padding);
  TORCH_CHECK_VALUE(out_channels > 0 && packed.size(0) == x.size(1) * kernel[0] * kernel[1] &&
                        packed.size(1) == (out_channels + kPanel - 1) / kPanel * kPanel,
                    op, ": packed must come from image_conv_pack for ", x.size(1), " channels, ",
                    out_channels, " outputs and the kernel ", kernel, ", not be ", packed.sizes());
  check_bias(op, bias, out_channels);
  const at::Tensor addend = bias ? bias->contiguous() : at::Tensor();
  const int64_t rows = (x.size(2) + 2 * padding[0] - kernel[0]) / stride[0] + 1;
  const int64_t columns = (x.size(3) + 2 * padding[1] - kernel[1]) / stride[1] + 1;
  at::Tensor out = at::empty({x.size(0), out_channels, rows, columns},
                             x.options().memory_format(at::MemoryFormat::ChannelsLast));
  if (out.numel() == 0) return out;
  const bool is_planar = !x.is_contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor from = is_planar ? x.contiguous() : x, weights = packed.contiguous();
  const Window window{x.size(1),
                      {x.size(2), x.size(3)},
                      {kernel[0], kernel[1]},
                      {stride[0], stride[1]},
                      {padding[0], padding[1]},
                      is_planar};
  const ImageConv work{window,
                       out_channels,
                       rows,
                       columns,
                       from.const_data_ptr<float>(),
                       weights.const_data_ptr<float>(),
                       weights.size(1),
                       bias ? addend.const_data_ptr<float>() : nullptr,
                       out.mutable_data_ptr<float>(),
                       {static_cast<float>(low), static_cast<float>(high)},
                       window.offsets()};
  const int64_t products = weights.numel() * columns;
  at::parallel_for(0, x.size(0) * rows, kGrain / std::max<int64_t>(products, 1) + 1,
                   [&](int64_t first, int64_t last) { work.compute(first, last); });
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def(
      "image_conv(Tensor x, Tensor packed, int out_channels, int[] kernel, Tensor? bias, "
      "int[] stride, int[] padding, float low, float high) -> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) { m.impl("image_conv", &image_conv); }

}  // namespace caffe_fast_rcnn
