// How kernels are launched and how their threads share the work.
#pragma once

#include <cuda_runtime.h>
#include <stdint.h>

namespace caffe_fast_rcnn {

constexpr int kThreads = 256;
constexpr int64_t kMaxBlocks = 8192;

inline int blocks_for(int64_t count) {
  const int64_t blocks = (count + kThreads - 1) / kThreads;
  return static_cast<int>(blocks < 1 ? 1 : blocks < kMaxBlocks ? blocks : kMaxBlocks);
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
