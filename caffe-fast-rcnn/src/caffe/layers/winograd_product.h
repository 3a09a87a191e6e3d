// The products of Winograd's convolution: of a few tiles' transformed inputs by a panel of weights,
// all sums in registers.
#pragma once

#include "bfloat.h"
#include "vectors.h"

namespace caffe_fast_rcnn::winograd {

// A panel is two vectors wide, so that a broadcast input serves two products.
constexpr int kPanel = 2 * kLanes;
// At most so many tiles at a time: they leave registers for a panel's row and a broadcast input.
constexpr int kRows = kRegisters == 32 ? 14 : 6;
// How many channels of an input are neighbours in a panel: what a lane multiplies at a time.
template <typename Number>
constexpr int kDepth = sizeof(float) / sizeof(Number);

template <typename T>
struct Rows {
  T* data;
  int64_t stride;  // in numbers

  Rows from(int64_t row) const { return {data + row * stride, stride}; }
};

// What will be read next, and how much of it to fetch into the cache meanwhile: `step` numbers for
// every row of the panel.
template <typename Number>
struct Ahead {
  const Number* data;
  int64_t step;
};

inline Vector load_factors(const float* from) { return load(from); }
inline Pairs load_factors(const Bfloat* from) { return load_pairs(from); }
inline Vector splat_factor(const float* from) { return splat(*from); }
inline Pairs splat_factor(const Bfloat* from) { return splat_pair(from); }

// to[row][i] = sum over k of inputs[row][k] * panel[k][i]; the order of the sum is that of k.
// length: rows of the panel, each of kDepth channels.
template <int kCount, typename Number>
__attribute__((noinline)) void multiply_rows(Rows<const Number> inputs, const Number* panel,
                                             int64_t length, Rows<float> to,
                                             Ahead<Number> ahead) {
  constexpr int kWords = kDepth<Number>;
  Vector left[kCount], right[kCount];
#pragma GCC unroll 16
  for (int row = 0; row < kCount; ++row) left[row] = right[row] = Vector{};
  for (int64_t k = 0; k < length; ++k, panel += kPanel * kWords) {
    __builtin_prefetch(ahead.data + k * ahead.step, 0, 2);
    const auto first = load_factors(panel), second = load_factors(panel + kLanes * kWords);
#pragma GCC unroll 16
    for (int row = 0; row < kCount; ++row) {
      const auto input = splat_factor(inputs.data + row * inputs.stride + k * kWords);
      left[row] = multiply_add(input, first, left[row]);
      right[row] = multiply_add(input, second, right[row]);
    }
  }
#pragma GCC unroll 16
  for (int row = 0; row < kCount; ++row) {
    store(to.data + row * to.stride, left[row]);
    store(to.data + row * to.stride + kLanes, right[row]);
  }
}

// As multiply_rows for a number of rows, at most kCount, that is known only now.
template <int kCount, typename Number>
inline void multiply_panel(int64_t count, Rows<const Number> inputs, const Number* panel,
                           int64_t length, Rows<float> to, Ahead<Number> ahead) {
  if constexpr (kCount > 0) {
    if (count == kCount) {
      multiply_rows<kCount>(inputs, panel, length, to, ahead);
    } else {
      multiply_panel<kCount - 1>(count, inputs, panel, length, to, ahead);
    }
  }
}

}  // namespace caffe_fast_rcnn::winograd
