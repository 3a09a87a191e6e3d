// The gradient of the kernels of a convolution of every channel by itself, on maps in
// channels_last: vectors hold neighbouring channels.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <array>

#include "checks.h"
#include "vectors.h"

namespace caffe_fast_rcnn {
namespace {

// One spatial axis: of the bottom, of the top, and of the kernel that moves over it.
struct Axis {
  int64_t size, top, kernel, stride, pad;

  // The tops that the entry `at` of the kernel makes of places within the bottom: first, one past
  // the last.
  std::array<int64_t, 2> met(int64_t at) const {
    const int64_t first = at >= pad ? 0 : (pad - at + stride - 1) / stride;
    const int64_t behind = size - 1 + pad - at;
    return {first, behind < 0 ? first : std::max(first, std::min(top, behind / stride + 1))};
  }
};

struct Maps {
  int64_t images, channels;
  Axis y, x;

  const float* row(const float* map, int64_t image, int64_t at) const {
    return map + (image * y.size + at) * x.size * channels;
  }
  const float* top_row(const float* map, int64_t image, int64_t at) const {
    return map + (image * y.top + at) * x.top * channels;
  }
};

// kLanes neighbouring channels, or, at the end of them, fewer.
struct AllLanes {
  Vector load(const float* from) const { return caffe_fast_rcnn::load(from); }
  void store(float* to, Vector v) const { caffe_fast_rcnn::store(to, v); }
};

struct SomeLanes {
  int64_t count;

  Vector load(const float* from) const { return load_some(from, count); }
  void store(float* to, Vector v) const { store_some(to, v, count); }
};

// Rows of the top are divided into chunks, as many for every number of threads, and their sums
// added in order.
constexpr int64_t kChunks = 16;
constexpr int kColumns = 7;  // entries of a kernel's row whose sums are in registers

// Neighbouring columns of a kernel, and the tops that they make of places within the bottom.
template <int kCount>
struct Columns {
  int64_t stride, first_inside, last_inside;  // where all columns meet the bottom
  std::array<int64_t, 2> met[kCount];

  Columns(const Axis& axis, int64_t first) : stride(axis.stride), first_inside(0) {
    last_inside = axis.top;
    for (int j = 0; j < kCount; ++j) {
      met[j] = axis.met(first + j);
      first_inside = std::max(first_inside, met[j][0]);
      last_inside = std::min(last_inside, met[j][1]);
    }
    last_inside = std::max(first_inside, last_inside);
  }

  // Adds the products of a row of the top's gradient with the `values` that it met, for the channels
  // of one vector.
  template <typename Lanes>
  void add(Lanes lanes, int64_t channels, const float* values, const float* top,
           float* sums) const {
    Vector sum[kCount];
    const auto add_some = [&](int j, int64_t first, int64_t last) {
      for (int64_t at = first; at < last; ++at) {
        sum[j] = multiply_add(lanes.load(top + at * channels),
                              lanes.load(values + (at * stride + j) * channels), sum[j]);
      }
    };
    for (int j = 0; j < kCount; ++j) {
      sum[j] = lanes.load(sums + j * channels);
      add_some(j, met[j][0], std::min(first_inside, met[j][1]));
    }
    for (int64_t at = first_inside; at < last_inside; ++at) {
      const Vector gradient = lanes.load(top + at * channels);
      const float* value = values + at * stride * channels;
#pragma GCC unroll 8
      for (int j = 0; j < kCount; ++j) {
        sum[j] = multiply_add(gradient, lanes.load(value + j * channels), sum[j]);
      }
    }
    for (int j = 0; j < kCount; ++j) {
      add_some(j, std::max(last_inside, met[j][0]), met[j][1]);
      lanes.store(sums + j * channels, sum[j]);
    }
  }
};

struct KernelGradient {
  Maps maps;
  const float *x, *grad;

  // Adds to `sums` (kCount columns of a kernel's row, C) what a row of the top gives them; the
  // columns start at `first`.
  template <int kCount>
  void add_row(const float* bottom, const float* top, int64_t first, float* sums) const {
    Columns<kCount> columns(maps.x, first);
    const float* values = bottom + (first - maps.x.pad) * maps.channels;
    int64_t c = 0;
    for (; c + kLanes <= maps.channels; c += kLanes) {
      columns.add(AllLanes{}, maps.channels, values + c, top + c, sums + c);
    }
    if (c < maps.channels) {
      columns.add(SomeLanes{maps.channels - c}, maps.channels, values + c, top + c, sums + c);
    }
  }

  // As add_row for a number of columns, at most kCount, that is known only now.
  template <int kCount>
  void add_columns(int64_t count, const float* bottom, const float* top, int64_t first,
                   float* sums) const {
    if constexpr (kCount > 0) {
      if (count == kCount) {
        add_row<kCount>(bottom, top, first, sums);
      } else {
        add_columns<kCount - 1>(count, bottom, top, first, sums);
      }
    }
  }

  // Adds to `sums` (kh, kw, C) what the rows first ... last - 1 of all images' tops give.
  void add_rows(int64_t first, int64_t last, float* sums) const {
    for (int64_t row = first; row < last; ++row) {
      const int64_t image = row / maps.y.top, at = row % maps.y.top;
      const float* top = maps.top_row(grad, image, at);
      for (int64_t i = 0; i < maps.y.kernel; ++i) {
        const int64_t met = at * maps.y.stride + i - maps.y.pad;
        if (met < 0 || met >= maps.y.size) continue;
        for (int64_t j = 0; j < maps.x.kernel; j += kColumns) {
          add_columns<kColumns>(std::min<int64_t>(kColumns, maps.x.kernel - j),
                                maps.row(x, image, met), top, j,
                                sums + (i * maps.x.kernel + j) * maps.channels);
        }
      }
    }
  }
};

Maps maps_of(const char* op, at::IntArrayRef x, at::IntArrayRef grad, int64_t kernel_h,
             int64_t kernel_w, at::IntArrayRef stride, at::IntArrayRef pad) {
  TORCH_CHECK_VALUE(stride.size() == 2 && pad.size() == 2 && std::min(stride[0], stride[1]) > 0 &&
                        std::min(pad[0], pad[1]) >= 0 && std::min(kernel_h, kernel_w) > 0,
                    op, ": a kernel of ", kernel_h, " x ", kernel_w, ", stride ", stride,
                    " and pad ", pad, " is none");
  const Axis y{x[2], grad[2], kernel_h, stride[0], pad[0]};
  const Axis across{x[3], grad[3], kernel_w, stride[1], pad[1]};
  for (const Axis& axis : {y, across}) {
    TORCH_CHECK_VALUE(axis.size + 2 * axis.pad >= axis.kernel &&
                          axis.top == (axis.size + 2 * axis.pad - axis.kernel) / axis.stride + 1,
                      op, ": grad of shape ", grad, " does not belong to x of shape ", x);
  }
  TORCH_CHECK_VALUE(x[0] == grad[0] && x[1] == grad[1], op, ": grad of shape ", grad,
                    " does not belong to x of shape ", x);
  return {x[0], x[1], y, across};
}

at::Tensor depthwise_kernel_gradient(const at::Tensor& grad, const at::Tensor& x,
                                     at::IntArrayRef kernel, at::IntArrayRef stride,
                                     at::IntArrayRef pad) {
  constexpr const char* op = "depthwise_kernel_gradient";
  check_float_on_cpu(op, "grad", grad, 4);
  check_float_on_cpu(op, "x", x, 4);
  TORCH_CHECK_VALUE(kernel.size() == 2, op, ": kernel must be (height, width), not ", kernel);
  const Maps maps = maps_of(op, x.sizes(), grad.sizes(), kernel[0], kernel[1], stride, pad);
  const at::Tensor bottom = x.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor top = grad.contiguous(at::MemoryFormat::ChannelsLast);
  const int64_t rows = maps.images * maps.y.top, chunks = std::min(rows, kChunks);
  at::Tensor sums = at::zeros({std::max<int64_t>(chunks, 1), kernel[0], kernel[1], x.size(1)},
                              x.options());
  const KernelGradient work{maps, bottom.const_data_ptr<float>(), top.const_data_ptr<float>()};
  float* to = sums.mutable_data_ptr<float>();
  const int64_t chunk_floats = kernel[0] * kernel[1] * x.size(1);
  at::parallel_for(0, chunks, 1, [&](int64_t first, int64_t last) {
    for (int64_t chunk = first; chunk < last; ++chunk) {
      work.add_rows(rows * chunk / chunks, rows * (chunk + 1) / chunks, to + chunk * chunk_floats);
    }
  });
  return sums.sum(0).permute({2, 0, 1}).unsqueeze(1).contiguous();
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def(
      "depthwise_kernel_gradient(Tensor grad, Tensor x, int[] kernel, int[] stride, int[] pad) "
      "-> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) {
  m.impl("depthwise_kernel_gradient", &depthwise_kernel_gradient);
}

}  // namespace caffe_fast_rcnn
