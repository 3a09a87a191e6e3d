// PSROIPooling on the GPU; see psroi_pooling.cpp. A thread for each element of the result.
#include "geometry.h"
#include "launch.cuh"
#include "launchers.h"

namespace caffe_fast_rcnn {
namespace {

// Where the plane of channel c of the roi's image begins in maps (N, C, H, W).
template <typename T>
__device__ int64_t plane_of(const T* roi, int64_t c, const RegionShape& s) {
  return (static_cast<int64_t>(roi[0]) * s.channels + c) * s.cells();
}

template <typename T>
__global__ void psroi(const T* features, const T* rois, RegionShape s, T scale, T* pooled) {
  CAFFE_GRID_STRIDE(i, s.rois * s.channels) {
    const int64_t c = i % s.channels;
    const T* roi = rois + i / s.channels * 5;
    if (!is_sound_region(roi, s.images)) {
      pooled[i] = static_cast<T>(NAN);
      continue;
    }
    const PositionSensitiveBin<T> bin(roi, scale, c % s.bins(), s);
    const T* plane = features + plane_of(roi, c, s);
    T sum = 0;
    for (int h = bin.rows.begin; h < bin.rows.end; ++h) {
      for (int w = bin.columns.begin; w < bin.columns.end; ++w) sum += plane[h * s.width + w];
    }
    pooled[i] = bin.is_empty() ? T(0) : sum / bin.area();
  }
}

template <typename T>
__global__ void psroi_backward(const T* grad, const T* rois, RegionShape s, T scale, T* to) {
  CAFFE_GRID_STRIDE(i, s.rois * s.channels) {
    const int64_t c = i % s.channels;
    const T* roi = rois + i / s.channels * 5;
    if (!is_sound_region(roi, s.images)) {
      mark_unsound(to);
      continue;
    }
    const PositionSensitiveBin<T> bin(roi, scale, c % s.bins(), s);
    if (bin.is_empty()) continue;
    T* plane = to + plane_of(roi, c, s);
    const T part = grad[i] / bin.area();
    for (int h = bin.rows.begin; h < bin.rows.end; ++h) {
      for (int w = bin.columns.begin; w < bin.columns.end; ++w) {
        atomicAdd(plane + h * s.width + w, part);
      }
    }
  }
}

// A thread for each cell of each channel, which adds up in the order of the regions.
template <typename T>
__global__ void psroi_backward_in_order(const T* grad, const T* rois, RegionShape s, T scale,
                                        T* to) {
  CAFFE_GRID_STRIDE(i, s.images * s.channels * s.cells()) {
    const int64_t h = i / s.width % s.height, w = i % s.width;
    const int64_t c = i / s.cells() % s.channels, image = i / s.cells() / s.channels;
    T sum = 0;
    for (int64_t r = 0; r < s.rois; ++r) {
      const T* roi = rois + 5 * r;
      if (!is_sound_region(roi, s.images)) {
        mark_unsound_at(i, sum);
      } else if (static_cast<int64_t>(roi[0]) == image) {
        const PositionSensitiveBin<T> bin(roi, scale, c % s.bins(), s);
        if (bin.contains(h, w)) sum += grad[r * s.channels + c] / bin.area();
      }
    }
    to[i] = sum;
  }
}

}  // namespace

template <typename T>
cudaError_t launch_psroi_pool(const T* features, const T* rois, const RegionShape& shape, T scale,
                              T* pooled, cudaStream_t stream) {
  CAFFE_LAUNCH(psroi<T>, blocks_for(shape.rois * shape.channels), kThreads, stream, features, rois,
               shape, scale, pooled);
  return cudaGetLastError();
}

template <typename T>
cudaError_t launch_psroi_pool_backward(const T* grad, const T* rois, const RegionShape& shape,
                                       T scale, Sum order, T* to, cudaStream_t stream) {
  if (order == Sum::kInOrder) {
    CAFFE_LAUNCH(psroi_backward_in_order<T>,
                 blocks_for(shape.images * shape.channels * shape.cells()), kThreads, stream, grad,
                 rois, shape, scale, to);
  } else {
    CAFFE_LAUNCH(psroi_backward<T>, blocks_for(shape.rois * shape.channels), kThreads, stream,
                 grad, rois, shape, scale, to);
  }
  return cudaGetLastError();
}

#define CAFFE_INSTANTIATE(T)                                                                 \
  template cudaError_t launch_psroi_pool<T>(const T*, const T*, const RegionShape&, T, T*,   \
                                            cudaStream_t);                                   \
  template cudaError_t launch_psroi_pool_backward<T>(const T*, const T*, const RegionShape&, \
                                                     T, Sum, T*, cudaStream_t);
CAFFE_INSTANTIATE(float)
CAFFE_INSTANTIATE(double)

}  // namespace caffe_fast_rcnn
