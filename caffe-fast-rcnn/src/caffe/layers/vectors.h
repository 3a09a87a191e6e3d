// Vectors of floats as wide as the processor's registers, by the compiler's own vector types (GCC,
// clang), so that one source serves AVX-512, AVX2, SSE and NEON.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) || defined(__FMA__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace caffe_fast_rcnn {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRegisters = 32;
#elif defined(__AVX__)
constexpr int kLanes = 8, kRegisters = 16;
#elif defined(__aarch64__)
constexpr int kLanes = 4, kRegisters = 32;
#else
constexpr int kLanes = 4, kRegisters = 16;
#endif

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));
typedef double WideVector __attribute__((vector_size(kLanes * sizeof(double))));

inline Vector splat(float value) { return value - Vector{}; }

inline Vector load(const float* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

inline void store(float* to, Vector v) { std::memcpy(to, &v, sizeof v); }

// The first `count` lanes; the others are zeros.
inline Vector load_some(const float* from, int64_t count) {
  float lanes[kLanes] = {};
  std::memcpy(lanes, from, static_cast<size_t>(count) * sizeof(float));
  return load(lanes);
}

inline void store_some(float* to, Vector v, int64_t count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1),
                        reinterpret_cast<__m512>(v));
#else
  float lanes[kLanes];
  store(lanes, v);
  std::memcpy(to, lanes, static_cast<size_t>(count) * sizeof(float));
#endif
}

inline WideVector widened(Vector v) { return __builtin_convertvector(v, WideVector); }
inline Vector narrowed(WideVector v) { return __builtin_convertvector(v, Vector); }

// a * b + c, rounded once where the processor can; the build's flags keep the compiler from it.
inline Vector multiply_add(Vector a, Vector b, Vector c) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vector>(_mm512_fmadd_ps(reinterpret_cast<__m512>(a),
                                                  reinterpret_cast<__m512>(b),
                                                  reinterpret_cast<__m512>(c)));
#elif defined(__FMA__)
  return reinterpret_cast<Vector>(_mm256_fmadd_ps(reinterpret_cast<__m256>(a),
                                                  reinterpret_cast<__m256>(b),
                                                  reinterpret_cast<__m256>(c)));
#elif defined(__aarch64__)
  return reinterpret_cast<Vector>(vfmaq_f32(reinterpret_cast<float32x4_t>(c),
                                            reinterpret_cast<float32x4_t>(a),
                                            reinterpret_cast<float32x4_t>(b)));
#else
  return a * b + c;
#endif
}

// The larger of v and 0 in each lane; NaN stays NaN, as in PyTorch's ReLU.
inline Vector rectified(Vector v) { return v < Vector{} ? Vector{} : v; }

}  // namespace caffe_fast_rcnn
