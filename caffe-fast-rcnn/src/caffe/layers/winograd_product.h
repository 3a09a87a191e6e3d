// The products of Winograd's convolution: of a few tiles' transformed inputs by a panel of weights,
// all sums in registers.
#pragma once

#include "vectors.h"

namespace caffe_fast_rcnn::winograd {

// A panel is two vectors wide, so that a broadcast input serves two products.
constexpr int kPanel = 2 * kLanes;
// As many tiles at a time as leave registers for a panel's row and a broadcast input.
constexpr int kRows = kRegisters == 32 ? 14 : 6;

// to[row][i] = sum over k of inputs[row][k] * panel[k][i], rows of `inputs` and `to` being
// `input_stride` and `stride` floats apart. The order of the sum is that of k, always.
inline void multiply_panel(const float* inputs, int64_t input_stride, const float* panel,
                           int64_t length, float* to, int64_t stride, const float* ahead,
                           int64_t step) {
  Vector left[kRows], right[kRows];
#pragma GCC unroll 16
  for (int row = 0; row < kRows; ++row) left[row] = right[row] = Vector{};
  for (int64_t k = 0; k < length; ++k, panel += kPanel) {
    __builtin_prefetch(ahead + k * step, 0, 2);
    const Vector first = load(panel), second = load(panel + kLanes);
#pragma GCC unroll 16
    for (int row = 0; row < kRows; ++row) {
      const Vector input = splat(inputs[row * input_stride + k]);
      left[row] = multiply_add(input, first, left[row]);
      right[row] = multiply_add(input, second, right[row]);
    }
  }
#pragma GCC unroll 16
  for (int row = 0; row < kRows; ++row) {
    store(to + row * stride, left[row]);
    store(to + row * stride + kLanes, right[row]);
  }
}

}  // namespace caffe_fast_rcnn::winograd
