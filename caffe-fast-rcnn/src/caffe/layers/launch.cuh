// How kernels are launched, how their threads share the work, and how they add up.
#pragma once

#include <cuda_runtime.h>
#include <math.h>
#include <stdint.h>

namespace caffe_fast_rcnn {

constexpr int kThreads = 256;
constexpr int64_t kMaxBlocks = 8192;

inline int blocks_for(int64_t count) {
  const int64_t blocks = (count + kThreads - 1) / kThreads;
  return static_cast<int>(blocks < 1 ? 1 : blocks < kMaxBlocks ? blocks : kMaxBlocks);
}

// The sum of one number per thread of a block, in thread 0; the block size is a power of two.
__device__ inline double block_sum(double part) {
  __shared__ double parts[kThreads];
  __syncthreads();  // the sum before this one has been read
  parts[threadIdx.x] = part;
  for (unsigned int half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
  }
  return parts[threadIdx.x];
}

// A gradient that belongs to no image or cell cannot be refused by name here, where asking would
// wait for the GPU, and must not be lost in silence: the first number of the result becomes NaN.
template <typename T>
__device__ void mark_unsound(T* result) {
  atomicAdd(result, static_cast<T>(NAN));
}

// The same by the thread that makes number `index` of the result.
template <typename T>
__device__ void mark_unsound_at(int64_t index, T& number) {
  if (index == 0) number = static_cast<T>(NAN);
}

}  // namespace caffe_fast_rcnn

// All threads of the grid walk over 0, ..., count - 1 together, in strides of the grid.
#define CAFFE_GRID_STRIDE(index, count)                                                     \
  for (int64_t index = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;         \
       index < (count); index += static_cast<int64_t>(blockDim.x) * gridDim.x)

// A test may define its own way to run a kernel.
#ifndef CAFFE_LAUNCH
#define CAFFE_LAUNCH(kernel, blocks, threads, stream, ...) \
  kernel<<<(blocks), (threads), 0, (stream)>>>(__VA_ARGS__)
#endif
