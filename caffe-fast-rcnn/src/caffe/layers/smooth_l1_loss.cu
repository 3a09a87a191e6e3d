// SmoothL1Loss on the GPU; see smooth_l1_loss.cpp. The sum is taken in a fixed order.
#include "geometry.h"
#include "launch.cuh"
#include "launchers.h"

namespace caffe_fast_rcnn {
namespace {

template <typename T>
__device__ T inside_weight(const SmoothL1Operands<T>& of, int64_t i) {
  return of.inside ? of.inside[i] : T(1);
}

template <typename T>
__device__ T outside_weight(const SmoothL1Operands<T>& of, int64_t i) {
  return of.outside ? of.outside[i] : T(1);
}

template <typename T>
__device__ T difference(const SmoothL1Operands<T>& of, int64_t i) {
  return inside_weight(of, i) * (of.pred[i] - of.target[i]);
}

// One partial sum per block.
template <typename T>
__global__ void sum_blocks(SmoothL1Operands<T> of, double* parts) {
  double part = 0;
  CAFFE_GRID_STRIDE(i, of.count) {
    part += outside_weight(of, i) * smooth_l1(difference(of, i), of.sigma2);
  }
  const double sum = block_sum(part);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

template <typename T>
__global__ void sum_parts(const double* parts, int count, T axis, T* loss) {
  double part = 0;
  for (int i = threadIdx.x; i < count; i += blockDim.x) part += parts[i];
  const double sum = block_sum(part);
  if (threadIdx.x == 0) *loss = static_cast<T>(sum / static_cast<double>(axis));
}

template <typename T>
__global__ void slopes(SmoothL1Operands<T> of, const T* grad, T* to) {
  const T scale = *grad / of.axis;
  CAFFE_GRID_STRIDE(i, of.count) {
    to[i] = scale * outside_weight(of, i) * inside_weight(of, i) *
            smooth_l1_slope(difference(of, i), of.sigma2);
  }
}

}  // namespace

template <typename T>
cudaError_t launch_smooth_l1(const SmoothL1Operands<T>& operands, double* parts, T* loss,
                             cudaStream_t stream) {
  const int wanted = blocks_for(operands.count);
  const int blocks = wanted < kSmoothL1Parts ? wanted : kSmoothL1Parts;
  CAFFE_LAUNCH(sum_blocks<T>, blocks, kThreads, stream, operands, parts);
  CAFFE_LAUNCH(sum_parts<T>, 1, kThreads, stream, parts, blocks, operands.axis, loss);
  return cudaGetLastError();
}

template <typename T>
cudaError_t launch_smooth_l1_backward(const SmoothL1Operands<T>& operands, const T* grad, T* to,
                                      cudaStream_t stream) {
  CAFFE_LAUNCH(slopes<T>, blocks_for(operands.count), kThreads, stream, operands, grad, to);
  return cudaGetLastError();
}

#define CAFFE_INSTANTIATE(T)                                                              \
  template cudaError_t launch_smooth_l1<T>(const SmoothL1Operands<T>&, double*, T*,       \
                                           cudaStream_t);                                 \
  template cudaError_t launch_smooth_l1_backward<T>(const SmoothL1Operands<T>&, const T*, \
                                                    T*, cudaStream_t);
CAFFE_INSTANTIATE(float)
CAFFE_INSTANTIATE(double)

}  // namespace caffe_fast_rcnn
