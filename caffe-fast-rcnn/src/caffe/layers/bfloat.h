// Numbers of half the bytes: bfloat16, the upper half of a float. Loaded as vectors of floats,
// stored rounded to the nearest, and multiplied in pairs whose products are added up as floats.
#pragma once

#include "vectors.h"

namespace caffe_fast_rcnn {

// The memory of c10::BFloat16.
struct Bfloat {
  uint16_t bits;
};

typedef uint32_t Bits __attribute__((vector_size(kLanes * sizeof(uint32_t))));
typedef uint16_t HalfBits __attribute__((vector_size(kLanes * sizeof(uint16_t))));

// kLanes pairs of neighbours; of two words the lower one is the first.
struct Pairs {
  Bits bits;
};

inline Vector load(const Bfloat* from) {
  HalfBits half;
  std::memcpy(&half, from, sizeof half);
  return reinterpret_cast<Vector>(__builtin_convertvector(half, Bits) << 16);
}

inline Vector load_some(const Bfloat* from, int64_t count) {
  Bfloat lanes[kLanes] = {};
  std::memcpy(lanes, from, static_cast<size_t>(count) * sizeof(Bfloat));
  return load(lanes);
}

// Rounded to the nearest, halves to the even neighbour; NaN stays NaN.
inline HalfBits rounded(Vector v) {
  const Bits bits = reinterpret_cast<Bits>(v);
  const Bits nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Bits is_nan = reinterpret_cast<Bits>(v != v);
  return __builtin_convertvector((is_nan & 0x7fc0) | (~is_nan & nearest), HalfBits);
}

inline void store(Bfloat* to, Vector v) {
  const HalfBits half = rounded(v);
  std::memcpy(to, &half, sizeof half);
}

inline void store_some(Bfloat* to, Vector v, int64_t count) {
  const HalfBits half = rounded(v);
  std::memcpy(to, &half, static_cast<size_t>(count) * sizeof(Bfloat));
}

inline Pairs load_pairs(const Bfloat* from) {
  Pairs pairs;
  std::memcpy(&pairs.bits, from, sizeof pairs.bits);
  return pairs;
}

inline Pairs splat_pair(const Bfloat* from) {
  uint32_t word;
  std::memcpy(&word, from, sizeof word);
  return {word - Bits{}};
}

// a.first * b.first + a.second * b.second + c in each lane; factors are exact, sums are floats.
inline Vector multiply_add(Pairs a, Pairs b, Vector c) {
#if defined(__AVX512BF16__)
  return reinterpret_cast<Vector>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(c),
                                                   reinterpret_cast<__m512bh>(a.bits),
                                                   reinterpret_cast<__m512bh>(b.bits)));
#else
  const Vector first = multiply_add(reinterpret_cast<Vector>(a.bits << 16),
                                    reinterpret_cast<Vector>(b.bits << 16), c);
  return multiply_add(reinterpret_cast<Vector>(a.bits & 0xffff0000u),
                      reinterpret_cast<Vector>(b.bits & 0xffff0000u), first);
#endif
}

}  // namespace caffe_fast_rcnn
