// Local response normalisation across channels on the GPU; see lrn.cpp.
// One thread per number; neighbouring threads share their windows through the cache.
#include "geometry.h"
#include "launch.cuh"
#include "launchers.h"

namespace caffe_fast_rcnn {
namespace {

// The channels of the window around channel c.
template <typename T>
__device__ Span window(const LrnArguments<T>& of, int64_t c) {
  const int64_t reach = of.size / 2;
  return {static_cast<int>(larger(c - reach, int64_t(0))),
          static_cast<int>(smaller(c + reach + 1, of.channels))};
}

template <typename T>
__device__ T scale_at(const LrnArguments<T>& of, const T* cell, int64_t c) {
  const Span channels = window(of, c);
  T sum = 0;
  for (int j = channels.begin; j < channels.end; ++j) sum += cell[j] * cell[j];
  return of.k + of.slope * sum;
}

template <bool kThreeQuarters, typename T>
__global__ void forward(LrnArguments<T> of, const T* x, T* y) {
  CAFFE_GRID_STRIDE(i, of.cells * of.channels) {
    const int64_t c = i % of.channels;
    const T scale = scale_at(of, x + i - c, c);
    y[i] = x[i] * negative_power<T, kThreeQuarters>(scale, of.beta);
  }
}

// First half of backward: ratios = g * y / scale, dx = g * scale^-beta.
template <bool kThreeQuarters, typename T>
__global__ void backward_ratios(LrnArguments<T> of, const T* grad, const T* x, T* ratios, T* dx) {
  CAFFE_GRID_STRIDE(i, of.cells * of.channels) {
    const int64_t c = i % of.channels;
    const T scale = scale_at(of, x + i - c, c);
    const T power = grad[i] * negative_power<T, kThreeQuarters>(scale, of.beta);
    ratios[i] = x[i] * power / scale;
    dx[i] = power;
  }
}

// Second half: takes off what x does to its neighbours' scales.
template <typename T>
__global__ void backward_windows(LrnArguments<T> of, const T* x, const T* ratios, T* dx) {
  const T factor = T(2) * of.slope * of.beta;
  CAFFE_GRID_STRIDE(i, of.cells * of.channels) {
    const int64_t c = i % of.channels;
    const Span channels = window(of, c);
    T sum = 0;
    for (int j = channels.begin; j < channels.end; ++j) sum += ratios[i - c + j];
    dx[i] -= factor * x[i] * sum;
  }
}

}  // namespace

template <typename T>
cudaError_t launch_lrn(const LrnArguments<T>& arguments, const T* x, T* y, cudaStream_t stream) {
  const auto kernel = arguments.beta == T(0.75) ? forward<true, T> : forward<false, T>;
  const int blocks = blocks_for(arguments.cells * arguments.channels);
  CAFFE_LAUNCH(kernel, blocks, kThreads, stream, arguments, x, y);
  return cudaGetLastError();
}

template <typename T>
cudaError_t launch_lrn_backward(const LrnArguments<T>& arguments, const T* grad, const T* x,
                                T* ratios, T* dx, cudaStream_t stream) {
  const auto kernel =
      arguments.beta == T(0.75) ? backward_ratios<true, T> : backward_ratios<false, T>;
  const int blocks = blocks_for(arguments.cells * arguments.channels);
  CAFFE_LAUNCH(kernel, blocks, kThreads, stream, arguments, grad, x, ratios, dx);
  CAFFE_LAUNCH(backward_windows<T>, blocks, kThreads, stream, arguments, x, ratios, dx);
  return cudaGetLastError();
}

#define CAFFE_INSTANTIATE(T)                                                                    \
  template cudaError_t launch_lrn<T>(const LrnArguments<T>&, const T*, T*, cudaStream_t);       \
  template cudaError_t launch_lrn_backward<T>(const LrnArguments<T>&, const T*, const T*, T*,   \
                                              T*, cudaStream_t);
CAFFE_INSTANTIATE(float)
CAFFE_INSTANTIATE(double)

}  // namespace caffe_fast_rcnn
