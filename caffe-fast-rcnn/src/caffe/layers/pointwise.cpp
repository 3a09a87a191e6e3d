// Convolution with a kernel of 1 x 1, for test nets, on maps in channels_last: the product of pixels
// and packed weights, with all sums in registers, bias, residual and limits on the way out.
#include <ATen/ATen.h>
#include <ATen/MemoryOverlap.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "checks.h"
#include "clamping.h"
#include "winograd_product.h"

namespace caffe_fast_rcnn {
namespace {

using winograd::kPanel;
using winograd::kRows;

constexpr int64_t kPageFloats = 1024;      // of 4096 bytes
constexpr int64_t kBlockFloats = 1 << 15;  // of pixels or weights that the second cache holds

// What the next panel is, and how much of it a group of pixels fetches into the cache: `step`
// numbers for every channel.
struct Ahead {
  const float* data;
  int64_t step;
};

struct Pointwise {
  int64_t pixels, channels, outputs;
  int64_t x_stride, residual_stride, y_stride;  // from a pixel to the next
  const float* x;
  const float* packed;    // (panels, channels, kPanel)
  const float* bias;      // `outputs` numbers, or null
  const float* residual;  // or null
  float* y;
  Limits limits;

  int64_t panels() const { return (outputs + kPanel - 1) / kPanel; }
  int64_t panel_floats() const { return channels * kPanel; }

  // The outputs of a panel at `count` pixels, at most kRows, from `pixel` on; what there is of the
  // last panel may be one vector.
  void multiply(int64_t count, int64_t pixel, int64_t panel, Ahead ahead) const {
    outputs - panel * kPanel > kLanes ? multiply_some<kRows, 2>(count, pixel, panel, ahead)
                                      : multiply_some<kRows, 1>(count, pixel, panel, ahead);
  }

  template <int kCount, int kVectors>
  void multiply_some(int64_t count, int64_t pixel, int64_t panel, Ahead ahead) const {
    if constexpr (kCount > 0) {
      count == kCount ? multiply<kCount, kVectors>(pixel, panel, ahead)
                      : multiply_some<kCount - 1, kVectors>(count, pixel, panel, ahead);
    }
  }

  template <int kCount, int kVectors>
  void multiply(int64_t pixel, int64_t panel, Ahead ahead) const {
    Vector sums[kCount][kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const Vector start = start_of(panel * kPanel + v * kLanes);
#pragma GCC unroll 16
      for (int row = 0; row < kCount; ++row) sums[row][v] = start;
    }
    fetch_output<kCount, kVectors>(y + pixel * y_stride + panel * kPanel);
    const float* inputs = x + pixel * x_stride;
    const float* weights = packed + panel * panel_floats();
    for (int64_t k = 0; k < channels; ++k, weights += kPanel) {
      __builtin_prefetch(ahead.data + k * ahead.step, 0, 2);
      Vector factors[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) factors[v] = load(weights + v * kLanes);
#pragma GCC unroll 16
      for (int row = 0; row < kCount; ++row) {
        const Vector input = splat(inputs[row * x_stride + k]);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          sums[row][v] = multiply_add(input, factors[v], sums[row][v]);
        }
      }
    }
#pragma GCC unroll 16
    for (int row = 0; row < kCount; ++row) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        write(pixel + row, panel * kPanel + v * kLanes, sums[row][v]);
      }
    }
  }

  // Has the cache fetch what will be written, while the products are summed up.
  template <int kCount, int kVectors>
  void fetch_output(const float* to) const {
#pragma GCC unroll 16
    for (int row = 0; row < kCount; ++row) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) __builtin_prefetch(to + row * y_stride + v * kLanes, 1, 3);
    }
  }

  Vector start_of(int64_t output) const {
    const int64_t lanes = std::min<int64_t>(kLanes, outputs - output);
    if (!bias || lanes <= 0) return Vector{};
    return lanes == kLanes ? load(bias + output) : load_some(bias + output, lanes);
  }

  void write(int64_t pixel, int64_t output, Vector value) const {
    const int64_t lanes = std::min<int64_t>(kLanes, outputs - output);
    if (lanes <= 0) return;
    if (residual) {
      const float* added = residual + pixel * residual_stride + output;
      value += lanes == kLanes ? load(added) : load_some(added, lanes);
    }
    float* to = y + pixel * y_stride + output;
    if (lanes == kLanes) {
      store(to, limits.of(value));
    } else {
      store_some(to, limits.of(value), lanes);
    }
  }

  // Pixels first ... last - 1, panels first_panel ... last_panel - 1. Pixels that are whole pages
  // apart would drive each other out of the first cache, and are copied with gaps between them.
  void compute(int64_t first, int64_t last, int64_t first_panel, int64_t last_panel) const {
    if (x_stride % kPageFloats != 0) {
      compute_there(first, last, first_panel, last_panel);
      return;
    }
    Pointwise spread = *this;
    spread.x_stride = channels + kLanes;
    const auto copy = std::make_unique_for_overwrite<float[]>((last - first) * spread.x_stride);
    for (int64_t pixel = first; pixel < last; ++pixel) {
      std::copy_n(x + pixel * x_stride, channels, &copy[(pixel - first) * spread.x_stride]);
    }
    spread.x = copy.get();
    spread.y += first * y_stride;
    if (residual) spread.residual += first * residual_stride;
    spread.compute_there(0, last - first, first_panel, last_panel);
  }

  // In groups of pixels that are as equal as can be.
  void compute_there(int64_t first, int64_t last, int64_t first_panel, int64_t last_panel) const {
    const int64_t size = last - first, groups = (size + kRows - 1) / kRows;
    const int64_t step = std::max<int64_t>(kPanel / groups, 1);
    for (int64_t panel = first_panel; panel < last_panel; ++panel) {
      const float* next = packed + std::min(panel + 1, last_panel - 1) * panel_floats();
      for (int64_t group = 0; group < groups; ++group) {
        const int64_t begin = size * group / groups, end = size * (group + 1) / groups;
        const int64_t share = std::min(group, kPanel / step - 1);
        multiply(end - begin, first + begin, panel, {next + share * step * channels, step});
      }
    }
  }
};

// Blocks of pixels, and, where those are few, of panels, divided among the threads.
void run(const Pointwise& work) {
  const int64_t threads = std::max<int64_t>(at::get_num_threads(), 1);
  const int64_t groups = (work.pixels + kRows - 1) / kRows;
  // weights that the cache holds serve all outputs of a few pixels, which are written in order
  const bool are_few = work.panels() * work.panel_floats() <= kBlockFloats;
  const int64_t most =
      are_few ? 1 : std::max<int64_t>(kBlockFloats / (work.channels * kRows), 1);
  const int64_t least = (groups + most - 1) / most;
  const int64_t blocks = std::min((least + threads - 1) / threads * threads, groups);
  const int64_t parts =
      threads == 1 || blocks >= 4 * threads
          ? 1
          : std::min(work.panels(), (4 * threads + blocks - 1) / blocks);
  at::parallel_for(0, blocks * parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t item = first; item < last; ++item) {
      const int64_t block = item / parts, part = item % parts;
      work.compute(work.pixels * block / blocks, work.pixels * (block + 1) / blocks,
                   work.panels() * part / parts, work.panels() * (part + 1) / parts);
    }
  });
}

// Numbers from a pixel of a map to the next, where they are as far apart everywhere.
int64_t pixel_stride(const at::Tensor& x) {
  if (x.size(3) > 1) return x.stride(3);
  if (x.size(2) > 1) return x.stride(2);
  return x.size(0) > 1 ? x.stride(0) : x.size(1);
}

// Whether pixels, each a run of channels, follow each other so: in channels_last, or in a slice of
// the channels of such a map.
bool is_run_of_pixels(const at::Tensor& x) {
  const int64_t step = pixel_stride(x);
  return (x.stride(1) == 1 || x.size(1) == 1) &&
         (x.size(2) == 1 || x.stride(2) == step * x.size(3)) &&
         (x.size(0) == 1 || x.stride(0) == step * x.size(3) * x.size(2));
}

at::Tensor as_run_of_pixels(const at::Tensor& x) {
  return is_run_of_pixels(x) ? x : x.contiguous(at::MemoryFormat::ChannelsLast);
}

// What takes the result: float32 of that shape, a run of pixels, and no memory of x.
void check_out(const char* op, const at::Tensor& out, at::IntArrayRef shape,
                      const at::Tensor& x) {
  check_float_on_cpu(op, "out", out, 4);
  TORCH_CHECK_VALUE(out.sizes() == shape, op, ": out must be ", shape, ", not ", out.sizes());
  TORCH_CHECK_VALUE(is_run_of_pixels(out) && pixel_stride(out) >= out.size(1), op,
                    ": out must be channels_last, or a slice of the channels of such a map, not "
                    "have the strides ", out.strides());
  const at::MemOverlapStatus overlap = at::get_overlap_status(x, out);
  TORCH_CHECK_VALUE(overlap != at::MemOverlapStatus::Full &&
                        overlap != at::MemOverlapStatus::Partial,
                    op, ": out shares memory with x");
}

void check_residual(const char* op, const OptionalTensor& residual,
                           at::IntArrayRef shape) {
  if (!residual) return;
  check_float_on_cpu(op, "residual", *residual, 4);
  TORCH_CHECK_VALUE(residual->sizes() == shape, op, ": residual must be ", shape, ", not ",
                    residual->sizes());
}

void pointwise_conv_out(const at::Tensor& x, const at::Tensor& packed, int64_t out_channels,
                        const OptionalTensor& bias,
                        const OptionalTensor& residual, double low, double high,
                        const at::Tensor& out) {
  constexpr const char* op = "pointwise_conv";
  check_float_on_cpu(op, "x", x, 4);
  check_float_on_cpu(op, "packed", packed, 3);
  TORCH_CHECK_VALUE(packed.size(1) == x.size(1) && packed.size(2) == kPanel &&
                        packed.size(0) == (out_channels + kPanel - 1) / kPanel && out_channels > 0,
                    op, ": packed must come from pointwise_pack for ", x.size(1),
                    " channels and ", out_channels, " outputs, not be ", packed.sizes());
  const std::array<int64_t, 4> shape = {x.size(0), out_channels, x.size(2), x.size(3)};
  check_bias(op, bias, out_channels);
  check_residual(op, residual, shape);
  check_out(op, out, shape, x);
  if (out.numel() == 0) return;
  const at::Tensor from = as_run_of_pixels(x), weights = packed.contiguous();
  const at::Tensor addend = bias ? bias->contiguous() : at::Tensor();
  const at::Tensor added = residual ? as_run_of_pixels(*residual) : at::Tensor();
  run({x.size(0) * x.size(2) * x.size(3),
       x.size(1),
       out_channels,
       pixel_stride(from),
       residual ? pixel_stride(added) : 0,
       pixel_stride(out),
       from.const_data_ptr<float>(),
       weights.const_data_ptr<float>(),
       bias ? addend.const_data_ptr<float>() : nullptr,
       residual ? added.const_data_ptr<float>() : nullptr,
       out.mutable_data_ptr<float>(),
       {static_cast<float>(low), static_cast<float>(high)}});
}

at::Tensor pointwise_conv(const at::Tensor& x, const at::Tensor& packed, int64_t out_channels,
                          const OptionalTensor& bias,
                          const OptionalTensor& residual, double low, double high) {
  constexpr const char* op = "pointwise_conv";
  check_float_on_cpu(op, "x", x, 4);
  TORCH_CHECK_VALUE(out_channels > 0, op, ": out_channels must be positive, not ", out_channels);
  at::Tensor out = at::empty({x.size(0), out_channels, x.size(2), x.size(3)},
                             x.options().memory_format(at::MemoryFormat::ChannelsLast));
  pointwise_conv_out(x, packed, out_channels, bias, residual, low, high, out);
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def(
      "pointwise_conv(Tensor x, Tensor packed, int out_channels, Tensor? bias, Tensor? residual, "
      "float low, float high) -> Tensor");
  m.def(
      "pointwise_conv_out(Tensor x, Tensor packed, int out_channels, Tensor? bias, "
      "Tensor? residual, float low, float high, Tensor(a!) out) -> ()");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) {
  m.impl("pointwise_conv", &pointwise_conv);
  m.impl("pointwise_conv_out", &pointwise_conv_out);
}

}  // namespace caffe_fast_rcnn
