// ROIAlign on the GPU; see roi_align.cpp.
#include "launch.cuh"
#include "launchers.h"
#include "roi_align.h"

namespace caffe_fast_rcnn {
namespace {

// One channel of one bin. Neighbouring threads take neighbouring channels of a cell, which are
// neighbours in memory.
template <typename T>
struct AlignBin {
  int64_t r, bin, c;
  const T* roi;

  __device__ AlignBin(int64_t i, const RegionShape& s, const T* rois)
      : r(i / s.channels / s.bins()), bin(i / s.channels % s.bins()), c(i % s.channels),
        roi(rois + 5 * r) {}

  // Where the channel of the roi's image begins in maps (N, H, W, C).
  __device__ int64_t map(const RegionShape& s) const {
    return static_cast<int64_t>(roi[0]) * s.cells() * s.channels + c;
  }
};

// The samples of a bin, as pairs of taps.
template <typename T>
struct AlignSamples {
  AlignSide<T> y, x;
  int ph, pw, height, width;
  Span rows, columns;

  __device__ AlignSamples(const AlignBin<T>& of, const RegionShape& s,
                          const AlignOptions<T>& options)
      : y(of.roi[2], of.roi[4], static_cast<int>(s.pooled_h), options),
        x(of.roi[1], of.roi[3], static_cast<int>(s.pooled_w), options),
        ph(static_cast<int>(of.bin / s.pooled_w)), pw(static_cast<int>(of.bin % s.pooled_w)),
        height(static_cast<int>(s.height)), width(static_cast<int>(s.width)),
        rows(y.samples_over(ph, height)), columns(x.samples_over(pw, width)) {}

  // The share of each sample in the mean; a bin without samples is 0.
  __device__ T share() const {
    const T count = static_cast<T>(y.samples()) * static_cast<T>(x.samples());
    return count > T(0) ? T(1) / count : T(0);
  }

  // visit(tap of y, tap of x, number of the sample along y, along x) for all that lie inside.
  template <typename Visit>
  __device__ void visit(const Visit& visit) const {
    for (int i = rows.begin; i < rows.end; ++i) {
      const Tap<T> row(y.position(ph, i), height);
      if (!row.inside) continue;
      for (int j = columns.begin; j < columns.end; ++j) {
        const Tap<T> column(x.position(pw, j), width);
        if (column.inside) visit(row, column, i, j);
      }
    }
  }
};

// The four cells round a sample, of one channel.
template <typename T>
struct AlignCorners {
  int64_t low_low, low_high, high_low, high_high;  // row, column

  __device__ AlignCorners(const Tap<T>& row, const Tap<T>& column, const RegionShape& s)
      : low_low((row.low * s.width + column.low) * s.channels),
        low_high((row.low * s.width + column.high) * s.channels),
        high_low((row.high * s.width + column.low) * s.channels),
        high_high((row.high * s.width + column.high) * s.channels) {}
};

template <typename T>
__global__ void align(const T* features, const T* rois, RegionShape s, AlignOptions<T> options,
                      T* pooled) {
  CAFFE_GRID_STRIDE(i, s.rois * s.bins() * s.channels) {
    const AlignBin<T> at(i, s, rois);
    T mean = static_cast<T>(NAN);
    if (is_sound_region(at.roi, s.images)) {
      const AlignSamples<T> samples(at, s, options);
      const T* map = features + at.map(s);
      T sum = 0;
      samples.visit([&](const Tap<T>& row, const Tap<T>& column, int, int) {
        const AlignCorners<T> to(row, column, s);
        sum += row.low_weight * (column.low_weight * map[to.low_low] +
                                 column.high_weight * map[to.low_high]) +
               row.high_weight * (column.low_weight * map[to.high_low] +
                                  column.high_weight * map[to.high_high]);
      });
      mean = sum * samples.share();
    }
    pooled[(at.r * s.channels + at.c) * s.bins() + at.bin] = mean;
  }
}

template <typename T>
__global__ void align_backward(const T* grad, const T* rois, RegionShape s,
                               AlignOptions<T> options, T* to) {
  CAFFE_GRID_STRIDE(i, s.rois * s.bins() * s.channels) {
    const AlignBin<T> at(i, s, rois);
    if (!is_sound_region(at.roi, s.images)) continue;
    const AlignSamples<T> samples(at, s, options);
    T* map = to + at.map(s);
    const T part = grad[i] * samples.share();
    samples.visit([&](const Tap<T>& row, const Tap<T>& column, int, int) {
      const AlignCorners<T> cell(row, column, s);
      atomicAdd(map + cell.low_low, part * row.low_weight * column.low_weight);
      atomicAdd(map + cell.low_high, part * row.low_weight * column.high_weight);
      atomicAdd(map + cell.high_low, part * row.high_weight * column.low_weight);
      atomicAdd(map + cell.high_high, part * row.high_weight * column.high_weight);
    });
  }
}

// What one channel of one bin gives to the gradient of x1, y1, x2, y2.
template <typename T>
__device__ void add_corner_slopes(const AlignBin<T>& at, const T* map, T part,
                                  const RegionShape& s, const AlignOptions<T>& options,
                                  double* sums) {
  const AlignSamples<T> samples(at, s, options);
  T x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  samples.visit([&](const Tap<T>& row, const Tap<T>& column, int i, int j) {
    const AlignCorners<T> to(row, column, s);
    const T by_y = row.slope * (column.low_weight * (map[to.high_low] - map[to.low_low]) +
                                column.high_weight * (map[to.high_high] - map[to.low_high]));
    const T by_x = column.slope * (row.low_weight * (map[to.low_high] - map[to.low_low]) +
                                   row.high_weight * (map[to.high_high] - map[to.high_low]));
    x1 += by_x * samples.x.by_first(samples.pw, j);
    x2 += by_x * samples.x.by_last(samples.pw, j);
    y1 += by_y * samples.y.by_first(samples.ph, i);
    y2 += by_y * samples.y.by_last(samples.ph, i);
  });
  const T scale = part * samples.share(), slopes[] = {x1, y1, x2, y2};
  for (int k = 0; k < 4; ++k) sums[k] += scale * slopes[k];
}

// A block for each region; its threads share bins and channels.
template <typename T>
__global__ void align_rois_backward(const T* grad, const T* features, const T* rois,
                                    RegionShape s, AlignOptions<T> options, T* to) {
  const int64_t size = s.bins() * s.channels;
  for (int64_t r = blockIdx.x; r < s.rois; r += gridDim.x) {
    double sums[4] = {0, 0, 0, 0};
    if (is_sound_region(rois + 5 * r, s.images)) {
      for (int64_t i = r * size + threadIdx.x; i < (r + 1) * size; i += blockDim.x) {
        const AlignBin<T> at(i, s, rois);
        add_corner_slopes(at, features + at.map(s), grad[i], s, options, sums);
      }
    }
    for (int k = 0; k < 4; ++k) {
      const double sum = block_sum(sums[k]);
      if (threadIdx.x == 0) to[5 * r + 1 + k] = static_cast<T>(sum);
    }
    if (threadIdx.x == 0) to[5 * r] = T(0);
  }
}

}  // namespace

template <typename T>
cudaError_t launch_roi_align(const T* features, const T* rois, const RegionShape& shape,
                             const AlignOptions<T>& options, T* pooled, cudaStream_t stream) {
  CAFFE_LAUNCH(align<T>, blocks_for(shape.rois * shape.bins() * shape.channels), kThreads, stream,
               features, rois, shape, options, pooled);
  return cudaGetLastError();
}

template <typename T>
cudaError_t launch_roi_align_backward(const T* grad, const T* rois, const RegionShape& shape,
                                      const AlignOptions<T>& options, T* to, cudaStream_t stream) {
  CAFFE_LAUNCH(align_backward<T>, blocks_for(shape.rois * shape.bins() * shape.channels), kThreads,
               stream, grad, rois, shape, options, to);
  return cudaGetLastError();
}

template <typename T>
cudaError_t launch_roi_align_rois_backward(const T* grad, const T* features, const T* rois,
                                           const RegionShape& shape,
                                           const AlignOptions<T>& options, T* to,
                                           cudaStream_t stream) {
  CAFFE_LAUNCH(align_rois_backward<T>, blocks_for(shape.rois * kThreads), kThreads, stream, grad,
               features, rois, shape, options, to);
  return cudaGetLastError();
}

#define CAFFE_INSTANTIATE(T)                                                                      \
  template cudaError_t launch_roi_align<T>(const T*, const T*, const RegionShape&,                \
                                           const AlignOptions<T>&, T*, cudaStream_t);             \
  template cudaError_t launch_roi_align_backward<T>(const T*, const T*, const RegionShape&,       \
                                                    const AlignOptions<T>&, T*, cudaStream_t);    \
  template cudaError_t launch_roi_align_rois_backward<T>(const T*, const T*, const T*,            \
                                                         const RegionShape&,                      \
                                                         const AlignOptions<T>&, T*, cudaStream_t);
CAFFE_INSTANTIATE(float)
CAFFE_INSTANTIATE(double)

}  // namespace caffe_fast_rcnn
