// How the CUDA halves of the operators meet PyTorch's devices and streams, and CUDA's errors.
#pragma once

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace caffe_fast_rcnn {

// The device of an operand becomes the current one, and its current stream is at hand.
struct OnDevice {
  explicit OnDevice(const at::Tensor& operand)
      : guard(operand.device()), stream(c10::cuda::getCurrentCUDAStream()) {}
  const c10::cuda::CUDAGuard guard;
  const cudaStream_t stream;
};

inline void check_launch(const char* op, cudaError_t error) {
  TORCH_CHECK(error == cudaSuccess, op, ": CUDA could not run the kernel: ",
              cudaGetErrorString(error));
}

}  // namespace caffe_fast_rcnn
