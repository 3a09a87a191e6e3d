// Convolution with a kernel of 1 x 1, for test nets, on maps in channels_last: the product of pixels
// and packed weights, with all sums in registers, bias, residual and limits on the way out.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "clamping.h"
#include "winograd_product.h"

namespace caffe_fast_rcnn {
namespace {

using winograd::kPanel;
using winograd::kRows;

void check_float(const char* op, const char* name, const at::Tensor& x) {
  TORCH_CHECK_VALUE(x.scalar_type() == at::kFloat, op, ": ", name, " must be float32, not ",
                    x.scalar_type());
  TORCH_CHECK_VALUE(x.device().is_cpu(), op, ": ", name, " must be on the CPU, not on ",
                    x.device());
}

constexpr int64_t kPageFloats = 1024;       // of 4096 bytes
constexpr int64_t kBlockFloats = 1 << 15;  // of pixels that stay in a core's second cache

struct Pointwise {
  int64_t pixels, channels, outputs, stride;  // stride: from a pixel of x to the next
  const float* x;         // (pixels, channels)
  const float* packed;    // (panels, channels, kPanel)
  const float* bias;      // panels * kPanel numbers
  const float* residual;  // (pixels, outputs), or null
  float* y;               // (pixels, outputs)
  Limits limits;

  int64_t panels() const { return (outputs + kPanel - 1) / kPanel; }
  int64_t panel_floats() const { return channels * kPanel; }

  // The outputs of a panel at pixels first ... first + kCount - 1; `ahead`: what comes next.
  template <int kCount>
  void multiply(int64_t first, int64_t panel, const float* ahead, int64_t step) const {
    Vector left[kCount], right[kCount];
    const Vector start = load(bias + panel * kPanel), behind = load(bias + panel * kPanel + kLanes);
#pragma GCC unroll 16
    for (int row = 0; row < kCount; ++row) {
      left[row] = start;
      right[row] = behind;
    }
    const float* inputs = x + first * stride;
    const float* weights = packed + panel * panel_floats();
    for (int64_t k = 0; k < channels; ++k, weights += kPanel) {
      __builtin_prefetch(ahead + k * step, 0, 2);
      const Vector one = load(weights), two = load(weights + kLanes);
#pragma GCC unroll 16
      for (int row = 0; row < kCount; ++row) {
        const Vector input = splat(inputs[row * stride + k]);
        left[row] = multiply_add(input, one, left[row]);
        right[row] = multiply_add(input, two, right[row]);
      }
    }
#pragma GCC unroll 16
    for (int row = 0; row < kCount; ++row) {
      write(first + row, panel * kPanel, left[row]);
      write(first + row, panel * kPanel + kLanes, right[row]);
    }
  }

  void write(int64_t pixel, int64_t output, Vector value) const {
    const int64_t lanes = std::min<int64_t>(kLanes, outputs - output);
    const int64_t place = pixel * outputs + output;
    if (lanes == kLanes) {
      if (residual) value += load(residual + place);
      store(y + place, limits.of(value));
    } else if (lanes > 0) {
      if (residual) value += load_some(residual + place, lanes);
      store_some(y + place, limits.of(value), lanes);
    }
  }

  // As `multiply` for a number of pixels, at most kCount, that is known only now.
  template <int kCount>
  void multiply_some(int64_t count, int64_t first, int64_t panel, const float* ahead,
                     int64_t step) const {
    if constexpr (kCount > 0) {
      if (count == kCount) {
        multiply<kCount>(first, panel, ahead, step);
      } else {
        multiply_some<kCount - 1>(count, first, panel, ahead, step);
      }
    }
  }

  // Pixels first ... last - 1, panels first_panel ... last_panel - 1. Pixels that are whole pages
  // apart would drive each other out of the first cache, and are copied with gaps between them.
  void compute(int64_t first, int64_t last, int64_t first_panel, int64_t last_panel) const {
    if (stride % kPageFloats != 0) {
      compute_there(first, last, first_panel, last_panel);
      return;
    }
    Pointwise spread = *this;
    spread.stride = channels + kLanes;
    std::vector<float> pixels((last - first) * spread.stride);
    for (int64_t pixel = first; pixel < last; ++pixel) {
      std::copy_n(x + pixel * stride, channels, &pixels[(pixel - first) * spread.stride]);
    }
    spread.x = pixels.data();
    spread.y += first * outputs;
    if (residual) spread.residual += first * outputs;
    spread.compute_there(0, last - first, first_panel, last_panel);
  }

  void compute_there(int64_t first, int64_t last, int64_t first_panel, int64_t last_panel) const {
    const int64_t groups = std::max<int64_t>((last - first) / kRows, 1);
    const int64_t step = std::max<int64_t>(kPanel / groups, 1);
    for (int64_t panel = first_panel; panel < last_panel; ++panel) {
      const float* next = packed + std::min(panel + 1, last_panel - 1) * panel_floats();
      for (int64_t pixel = first; pixel < last; pixel += kRows) {
        const int64_t group = std::min((pixel - first) / kRows, kPanel / step - 1);
        multiply_some<kRows>(std::min<int64_t>(kRows, last - pixel), pixel, panel,
                             next + group * step * channels, step);
      }
    }
  }
};

// Blocks of pixels, and, where those are few, of panels, divided among the threads.
void run(const Pointwise& work) {
  const int64_t threads = std::max<int64_t>(at::get_num_threads(), 1);
  const int64_t groups = (work.pixels + kRows - 1) / kRows;
  const int64_t most = std::max<int64_t>(kBlockFloats / (work.channels * kRows), 1);
  const int64_t blocks = (groups + most - 1) / most;
  const int64_t parts =
      threads == 1 || blocks >= 4 * threads
          ? 1
          : std::min(work.panels(), (4 * threads + blocks - 1) / blocks);
  at::parallel_for(0, blocks * parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t item = first; item < last; ++item) {
      const int64_t block = item / parts, part = item % parts;
      work.compute(groups * block / blocks * kRows,
                   std::min(groups * (block + 1) / blocks * kRows, work.pixels),
                   work.panels() * part / parts, work.panels() * (part + 1) / parts);
    }
  });
}

at::Tensor pointwise_conv(const at::Tensor& x, const at::Tensor& packed, int64_t out_channels,
                          const std::optional<at::Tensor>& bias,
                          const std::optional<at::Tensor>& residual, double low, double high) {
  constexpr const char* op = "pointwise_conv";
  check_float(op, "x", x);
  TORCH_CHECK_VALUE(x.dim() == 4, op, ": x must be (N, C, H, W), not ", x.sizes());
  check_float(op, "packed", packed);
  TORCH_CHECK_VALUE(packed.dim() == 3 && packed.size(1) == x.size(1) && packed.size(2) == kPanel &&
                        packed.size(0) == (out_channels + kPanel - 1) / kPanel && out_channels > 0,
                    op, ": packed must come from pointwise_pack for ", x.size(1),
                    " channels and ", out_channels, " outputs, not be ", packed.sizes());
  at::Tensor out = at::empty({x.size(0), out_channels, x.size(2), x.size(3)},
                             x.options().memory_format(at::MemoryFormat::ChannelsLast));
  const at::Tensor from = x.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor weights = packed.contiguous();
  at::Tensor addend = at::zeros({packed.size(0) * kPanel}, at::kFloat);
  if (bias) {
    check_float(op, "bias", *bias);
    TORCH_CHECK_VALUE(bias->dim() == 1 && bias->size(0) == out_channels, op, ": bias must be (",
                      out_channels, ",), not ", bias->sizes());
    addend.narrow(0, 0, out_channels).copy_(*bias);
  }
  at::Tensor added;
  if (residual) {
    check_float(op, "residual", *residual);
    TORCH_CHECK_VALUE(residual->sizes() == out.sizes(), op, ": residual must be ", out.sizes(),
                      ", not ", residual->sizes());
    added = residual->contiguous(at::MemoryFormat::ChannelsLast);
  }
  if (out.numel() == 0) return out;
  run({x.size(0) * x.size(2) * x.size(3),
       x.size(1),
       out_channels,
       x.size(1),
       from.const_data_ptr<float>(),
       weights.const_data_ptr<float>(),
       addend.const_data_ptr<float>(),
       residual ? added.const_data_ptr<float>() : nullptr,
       out.mutable_data_ptr<float>(),
       {static_cast<float>(low), static_cast<float>(high)}});
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def(
      "pointwise_conv(Tensor x, Tensor packed, int out_channels, Tensor? bias, Tensor? residual, "
      "float low, float high) -> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) { m.impl("pointwise_conv", &pointwise_conv); }

}  // namespace caffe_fast_rcnn
