// The momentum update on the GPU; see sgd_update.cpp.
#include "geometry.h"
#include "launch.cuh"
#include "launchers.h"

namespace caffe_fast_rcnn {
namespace {

template <typename T>
__global__ void update(T* weight, const T* grad, T* history, int64_t count, T rate, T momentum,
                       T decay) {
  CAFFE_GRID_STRIDE(i, count) {
    momentum_update(weight[i], grad[i], history[i], rate, momentum, decay);
  }
}

}  // namespace

template <typename T>
cudaError_t launch_sgd_update(T* weight, const T* grad, T* history, int64_t count, T rate,
                              T momentum, T decay, cudaStream_t stream) {
  CAFFE_LAUNCH(update<T>, blocks_for(count), kThreads, stream, weight, grad, history, count, rate,
               momentum, decay);
  return cudaGetLastError();
}

#define CAFFE_INSTANTIATE(T)                                                               \
  template cudaError_t launch_sgd_update<T>(T*, const T*, T*, int64_t, T, T, T, cudaStream_t);
CAFFE_INSTANTIATE(float)
CAFFE_INSTANTIATE(double)

}  // namespace caffe_fast_rcnn
