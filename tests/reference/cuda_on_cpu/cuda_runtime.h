// Just enough of CUDA to run our kernels on the CPU: the threads of a block are real threads, so
// __syncthreads and __shared__ mean what they mean on a GPU; blocks run one after the other.
#pragma once

#include <stdint.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cmath>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static

using std::isfinite;

typedef void* cudaStream_t;
enum cudaError_t { cudaSuccess };
inline cudaError_t cudaGetLastError() { return cudaSuccess; }

struct dim3 {
  unsigned int x = 0, y = 0, z = 0;
};

inline dim3 blockIdx, blockDim, gridDim;
inline thread_local dim3 threadIdx;
inline std::barrier<>* block_barrier = nullptr;

inline void __syncthreads() { block_barrier->arrive_and_wait(); }

template <typename T>
T atomicAdd(T* address, T value) {
  return std::atomic_ref<T>(*address).fetch_add(value);
}

constexpr int kMostThreads = 8, kMostBlocks = 3;

template <typename Run>
void run_grid(int blocks, int threads, const Run& run) {
  gridDim.x = std::min(blocks, kMostBlocks);
  blockDim.x = std::min(threads, kMostThreads);
  for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) {
    std::barrier<> barrier(blockDim.x);
    block_barrier = &barrier;
    std::vector<std::jthread> block;
    for (unsigned int i = 0; i < blockDim.x; ++i) {
      block.emplace_back([&run, i] {
        threadIdx.x = i;
        run();
      });
    }
  }
}

#define CAFFE_LAUNCH(kernel, blocks, threads, stream, ...) \
  run_grid(blocks, threads, [&] { kernel(__VA_ARGS__); })
