// The products of Winograd's convolution: of a few tiles' transformed inputs by a panel of weights,
// all sums in registers.
#pragma once

#include "vectors.h"

namespace caffe_fast_rcnn::winograd {

// A panel is two vectors wide, so that a broadcast input serves two products.
constexpr int kPanel = 2 * kLanes;
// As many tiles at a time as leave registers for a panel's row and a broadcast input.
constexpr int kRows = kRegisters == 32 ? 14 : 6;

template <typename T>
struct Rows {
  T* data;
  int64_t stride;  // in floats

  Rows from(int64_t row) const { return {data + row * stride, stride}; }
};

// What will be read next, and how much of it to fetch into the cache meanwhile: `step` floats for
// every row of the panel.
struct Ahead {
  const float* data;
  int64_t step;
};

// to[row][i] = sum over k of inputs[row][k] * panel[k][i]; the order of the sum is that of k.
inline void multiply_panel(Rows<const float> inputs, const float* panel, int64_t length,
                           Rows<float> to, Ahead ahead) {
  Vector left[kRows], right[kRows];
#pragma GCC unroll 16
  for (int row = 0; row < kRows; ++row) left[row] = right[row] = Vector{};
  for (int64_t k = 0; k < length; ++k, panel += kPanel) {
    __builtin_prefetch(ahead.data + k * ahead.step, 0, 2);
    const Vector first = load(panel), second = load(panel + kLanes);
#pragma GCC unroll 16
    for (int row = 0; row < kRows; ++row) {
      const Vector input = splat(inputs.data[row * inputs.stride + k]);
      left[row] = multiply_add(input, first, left[row]);
      right[row] = multiply_add(input, second, right[row]);
    }
  }
#pragma GCC unroll 16
  for (int row = 0; row < kRows; ++row) {
    store(to.data + row * to.stride, left[row]);
    store(to.data + row * to.stride + kLanes, right[row]);
  }
}

}  // namespace caffe_fast_rcnn::winograd
