// Winograd's transforms for one axis of a 3 x 3 convolution, F(m, 3) with m outputs per tile
// (Lavin and Gray 2015, Fast algorithms for convolutional neural networks).
//
// A tile's n = m + 2 inputs are the coefficients of a polynomial that is evaluated, as the weights
// are, at n points: 0, pairs +p and -p, and infinity. Pairs share their even and odd halves. The
// usual points 0, +-1, +-2 lose digits; 0, +-sqrt(1/2), +-sqrt(2) leave F(4, 3) with a quarter of
// their error, no more than that of the plain sum of products, at the same cost.
#pragma once

#include <array>

#include "vectors.h"

namespace caffe_fast_rcnn::winograd {

template <int kOutputs>
struct Points;
template <>
struct Points<2> {
  static constexpr std::array<double, 1> positive = {1};
};
template <>
struct Points<4> {
  static constexpr std::array<double, 2> positive = {0.70710678118654752, 1.41421356237309505};
};
template <>
struct Points<6> {
  static constexpr std::array<double, 3> positive = {0.55, 1, 1 / 0.55};
};

template <int kOutputs>
struct Tile {
  static constexpr int kPairs = kOutputs / 2, kSize = kOutputs + 2, kPositions = kSize * kSize;
  static constexpr auto kPoints = Points<kOutputs>::positive;
  using Coefficients = std::array<double, kPairs + 1>;

  // The coefficients of y^0, y^1, ... in the product of all (y - p^2) but that of pair `skipped`.
  static constexpr Coefficients product(int skipped) {
    Coefficients c = {1};
    for (int i = 0; i < kPairs; ++i) {
      if (i == skipped) continue;
      for (int k = kPairs; k >= 0; --k) {
        c[k] = (k > 0 ? c[k - 1] : 0) - kPoints[i] * kPoints[i] * c[k];
      }
    }
    return c;
  }

  // The weights' denominator of point +p or -p of a pair; that of 0 is product(-1)[0].
  static constexpr double denominator(int pair) {
    const double square = kPoints[pair] * kPoints[pair];
    double value = 2 * square;
    for (int i = 0; i < kPairs; ++i) {
      if (i != pair) value *= square - kPoints[i] * kPoints[i];
    }
    return value;
  }

  // to[0], to[1 + 2i], to[2 + 2i], to[n - 1]: the values at 0, +p, -p, infinity of 3 weights.
  static inline __attribute__((always_inline)) void of_weights(const WideVector* from,
                                                               WideVector* to) {
    to[0] = from[0] * (1 / product(-1)[0]);
#pragma GCC unroll 8
    for (int i = 0; i < kPairs; ++i) {
      const double p = kPoints[i], scale = 1 / denominator(i);
      const WideVector even = from[0] * scale + from[2] * (p * p * scale);
      const WideVector odd = from[1] * (p * scale);
      to[1 + 2 * i] = even + odd;
      to[2 + 2 * i] = even - odd;
    }
    to[kSize - 1] = from[2];
  }

  // from[first] c[0] + from[first + 2] c[1] + ... up to the last coefficient, which is 1.
  template <int kTerms>
  static inline __attribute__((always_inline)) Vector every_other(const Vector* from,
                                                                  Coefficients c) {
    Vector sum = from[2 * (kTerms - 1)];
#pragma GCC unroll 8
    for (int k = kTerms - 2; k >= 0; --k) {
      sum = multiply_add(splat(static_cast<float>(c[k])), from[2 * k], sum);
    }
    return sum;
  }

  // The values of kSize inputs at the points, in the order of of_weights.
  static inline __attribute__((always_inline)) void of_input(const Vector* from, Vector* to) {
    to[0] = every_other<kPairs + 1>(from, product(-1));
    to[kSize - 1] = every_other<kPairs + 1>(from + 1, product(-1));
#pragma GCC unroll 8
    for (int i = 0; i < kPairs; ++i) {
      const Vector even = every_other<kPairs>(from + 2, product(i));
      const Vector odd = every_other<kPairs>(from + 1, product(i));
      const float p = static_cast<float>(kPoints[i]);
      to[1 + 2 * i] = multiply_add(splat(p), odd, even);
      to[2 + 2 * i] = multiply_add(splat(-p), odd, even);
    }
  }

  // kOutputs outputs from the products at the points.
  static inline __attribute__((always_inline)) void of_output(const Vector* from, Vector* to) {
    Vector sums[kPairs], differences[kPairs];
    double powers[kPairs];
#pragma GCC unroll 8
    for (int i = 0; i < kPairs; ++i) {
      sums[i] = from[1 + 2 * i] + from[2 + 2 * i];
      differences[i] = from[1 + 2 * i] - from[2 + 2 * i];
      powers[i] = 1;
    }
#pragma GCC unroll 8
    for (int k = 0; k < kOutputs; ++k) {
      const Vector* halves = k % 2 ? differences : sums;
      Vector sum = k == 0 ? from[0] : k == kOutputs - 1 ? from[kSize - 1] : Vector{};
#pragma GCC unroll 8
      for (int i = 0; i < kPairs; ++i) {
        sum = multiply_add(splat(static_cast<float>(powers[i])), halves[i], sum);
        powers[i] *= kPoints[i];
      }
      to[k] = sum;
    }
  }
};

}  // namespace caffe_fast_rcnn::winograd
