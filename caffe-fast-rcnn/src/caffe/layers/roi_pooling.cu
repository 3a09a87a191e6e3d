// ROIPooling on the GPU; see roi_pooling.cpp.
#include "geometry.h"
#include "launch.cuh"
#include "launchers.h"

namespace caffe_fast_rcnn {
namespace {

// Neighbouring threads take neighbouring channels of a cell, which are neighbours in memory.
template <typename T>
__global__ void pool(const T* features, const T* rois, RegionShape s, T scale, T* pooled,
                     int32_t* argmax) {
  const int64_t bins = s.bins();
  CAFFE_GRID_STRIDE(i, s.rois * bins * s.channels) {
    const int64_t c = i % s.channels, bin = i / s.channels % bins, r = i / s.channels / bins;
    const T* numbers = rois + 5 * r;
    T best = T(0);
    int32_t where = -1;
    if (is_sound_region(numbers, s.images)) {
      const Roi<T> roi(numbers, scale, static_cast<int>(s.pooled_h), static_cast<int>(s.pooled_w));
      const Span rows = roi.y.cells(static_cast<int>(bin / s.pooled_w), static_cast<int>(s.height));
      const Span columns =
          roi.x.cells(static_cast<int>(bin % s.pooled_w), static_cast<int>(s.width));
      const int64_t image = static_cast<int64_t>(numbers[0]);
      const T* map = features + image * s.height * s.width * s.channels + c;
      if (rows.begin < rows.end && columns.begin < columns.end) best = lowest<T>();
      for (int h = rows.begin; h < rows.end; ++h) {
        for (int w = columns.begin; w < columns.end; ++w) {
          const int64_t cell = h * s.width + w;
          const T value = map[cell * s.channels];
          if (value > best) {
            best = value;
            where = static_cast<int32_t>(cell);
          }
        }
      }
    } else {
      best = static_cast<T>(NAN);
    }
    const int64_t to = (r * s.channels + c) * bins + bin;
    pooled[to] = best;
    if (argmax) argmax[to] = where;
  }
}

template <typename T>
__device__ Roi<T> roi_of(const T* numbers, T scale, const RegionShape& s) {
  return {numbers, scale, static_cast<int>(s.pooled_h), static_cast<int>(s.pooled_w)};
}

// A thread for each bin of each channel.
template <typename T>
__global__ void pool_backward(const T* grad, const T* rois, const int32_t* argmax, RegionShape s,
                              T scale, T* to) {
  const int64_t bins = s.bins();
  CAFFE_GRID_STRIDE(i, s.rois * s.channels * bins) {
    const int64_t c = i / bins % s.channels, r = i / bins / s.channels;
    const T* numbers = rois + 5 * r;
    if (!is_sound_region(numbers, s.images) || argmax[i] >= s.cells()) {
      mark_unsound(to);
      continue;
    }
    const int cell = argmax[i], width = static_cast<int>(s.width);
    if (cell < 0 || !roi_of(numbers, scale, s).contains(cell / width, cell % width)) continue;
    const int64_t image = static_cast<int64_t>(numbers[0]);
    atomicAdd(to + (image * s.channels + c) * s.cells() + cell, grad[i]);
  }
}

// The gradients of one region's bins whose maximum is the cell (h, w); bins is one channel's.
template <typename T>
__device__ void add_bins_of(const Roi<T>& roi, int h, int w, const RegionShape& s, const T* grad,
                            const int32_t* argmax, T& sum) {
  if (!roi.contains(h, w)) return;
  const Span rows = roi.y.bins_over(h, static_cast<int>(s.pooled_h));
  const Span columns = roi.x.bins_over(w, static_cast<int>(s.pooled_w));
  const int64_t cell = h * s.width + w;
  for (int ph = rows.begin; ph < rows.end; ++ph) {
    for (int pw = columns.begin; pw < columns.end; ++pw) {
      const int64_t bin = ph * s.pooled_w + pw;
      if (argmax[bin] == cell) sum += grad[bin];
    }
  }
}

// A thread for each cell of each channel, which adds up in the order of the regions and bins.
template <typename T>
__global__ void pool_backward_in_order(const T* grad, const T* rois, const int32_t* argmax,
                                       RegionShape s, T scale, T* to) {
  CAFFE_GRID_STRIDE(i, s.images * s.channels * s.cells()) {
    const int h = static_cast<int>(i / s.width % s.height), w = static_cast<int>(i % s.width);
    const int64_t c = i / s.cells() % s.channels, image = i / s.cells() / s.channels;
    T sum = 0;
    for (int64_t r = 0; r < s.rois; ++r) {
      const T* numbers = rois + 5 * r;
      if (!is_sound_region(numbers, s.images)) {
        mark_unsound_at(i, sum);
      } else if (static_cast<int64_t>(numbers[0]) == image) {
        const int64_t start = (r * s.channels + c) * s.bins();
        add_bins_of(roi_of(numbers, scale, s), h, w, s, grad + start, argmax + start, sum);
      }
    }
    to[i] = sum;
  }
}

}  // namespace

template <typename T>
cudaError_t launch_roi_pool(const T* features, const T* rois, const RegionShape& shape, T scale,
                            T* pooled, int32_t* argmax, cudaStream_t stream) {
  const int64_t count = shape.rois * shape.channels * shape.pooled_h * shape.pooled_w;
  CAFFE_LAUNCH(pool<T>, blocks_for(count), kThreads, stream, features, rois, shape, scale, pooled,
               argmax);
  return cudaGetLastError();
}

template <typename T>
cudaError_t launch_roi_pool_backward(const T* grad, const T* rois, const int32_t* argmax,
                                     const RegionShape& shape, T scale, Sum order, T* to,
                                     cudaStream_t stream) {
  if (order == Sum::kInOrder) {
    const int64_t count = shape.images * shape.channels * shape.cells();
    CAFFE_LAUNCH(pool_backward_in_order<T>, blocks_for(count), kThreads, stream, grad, rois,
                 argmax, shape, scale, to);
  } else {
    const int64_t count = shape.rois * shape.channels * shape.bins();
    CAFFE_LAUNCH(pool_backward<T>, blocks_for(count), kThreads, stream, grad, rois, argmax, shape,
                 scale, to);
  }
  return cudaGetLastError();
}

#define CAFFE_INSTANTIATE(T)                                                                  \
  template cudaError_t launch_roi_pool<T>(const T*, const T*, const RegionShape&, T, T*,      \
                                          int32_t*, cudaStream_t);                            \
  template cudaError_t launch_roi_pool_backward<T>(const T*, const T*, const int32_t*,        \
                                                   const RegionShape&, T, Sum, T*,            \
                                                   cudaStream_t);
CAFFE_INSTANTIATE(float)
CAFFE_INSTANTIATE(double)

}  // namespace caffe_fast_rcnn
