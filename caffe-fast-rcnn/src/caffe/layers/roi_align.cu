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

// The four cells around a sample, of one channel.
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
    if (!is_sound_region(at.roi, s.images)) {
      mark_unsound(to);
      continue;
    }
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

// What the cells of one side of the map weigh in the means of the bins of that side: a bin's
// weights are products of one number per row, (R, ph, H), and one per column, (R, pw, W).
template <typename T>
struct AlignWeights {
  T *rows, *columns;

  AlignWeights(T* scratch, const RegionShape& s)
      : rows(scratch), columns(scratch + s.rois * s.pooled_h * s.height) {}
};

template <typename T>
__device__ void weigh_cells(const AlignSide<T>& side, int bin, int size, T* weights) {
  for (int cell = 0; cell < size; ++cell) weights[cell] = T(0);
  const T count = static_cast<T>(side.samples());
  const Span samples = side.samples_over(bin, size);
  for (int i = samples.begin; i < samples.end; ++i) {
    const Tap<T> tap(side.position(bin, i), size);
    if (!tap.inside) continue;
    weights[tap.low] += tap.low_weight / count;
    weights[tap.high] += tap.high_weight / count;
  }
}

// A thread for each row and each column of bins of each region.
template <typename T>
__global__ void align_weights(const T* rois, RegionShape s, AlignOptions<T> options,
                              AlignWeights<T> to) {
  const int64_t lines = s.pooled_h + s.pooled_w;
  CAFFE_GRID_STRIDE(i, s.rois * lines) {
    const int64_t r = i / lines;
    const int line = static_cast<int>(i % lines), pooled_h = static_cast<int>(s.pooled_h);
    const int pooled_w = static_cast<int>(s.pooled_w);
    const T* roi = rois + 5 * r;
    if (!is_sound_region(roi, s.images)) continue;
    if (line < pooled_h) {
      weigh_cells(AlignSide<T>(roi[2], roi[4], pooled_h, options), line,
                  static_cast<int>(s.height), to.rows + (r * pooled_h + line) * s.height);
    } else {
      weigh_cells(AlignSide<T>(roi[1], roi[3], pooled_w, options), line - pooled_h,
                  static_cast<int>(s.width),
                  to.columns + (r * pooled_w + line - pooled_h) * s.width);
    }
  }
}

// What the bins of region r give to one channel of the cell (h, w); grad: that channel of its bins.
template <typename T>
__device__ void add_bins_over(const AlignWeights<T>& weights, int64_t r, int64_t h, int64_t w,
                              const RegionShape& s, const T* grad, T& sum) {
  for (int64_t ph = 0; ph < s.pooled_h; ++ph) {
    const T row = weights.rows[(r * s.pooled_h + ph) * s.height + h];
    if (row == T(0)) continue;
    for (int64_t pw = 0; pw < s.pooled_w; ++pw) {
      const T column = weights.columns[(r * s.pooled_w + pw) * s.width + w];
      if (column != T(0)) sum += row * column * grad[(ph * s.pooled_w + pw) * s.channels];
    }
  }
}

// A thread for each channel of each cell, which adds up in the order of the regions and bins.
template <typename T>
__global__ void align_backward_in_order(const T* grad, const T* rois, RegionShape s,
                                        AlignWeights<T> weights, T* to) {
  CAFFE_GRID_STRIDE(i, s.images * s.cells() * s.channels) {
    const int64_t c = i % s.channels, w = i / s.channels % s.width;
    const int64_t h = i / s.channels / s.width % s.height, image = i / s.channels / s.cells();
    T sum = 0;
    for (int64_t r = 0; r < s.rois; ++r) {
      const T* roi = rois + 5 * r;
      if (!is_sound_region(roi, s.images)) {
        mark_unsound_at(i, sum);
      } else if (static_cast<int64_t>(roi[0]) == image) {
        add_bins_over(weights, r, h, w, s, grad + r * s.bins() * s.channels + c, sum);
      }
    }
    to[i] = sum;
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
    const bool sound = is_sound_region(rois + 5 * r, s.images);
    if (sound) {
      for (int64_t i = r * size + threadIdx.x; i < (r + 1) * size; i += blockDim.x) {
        const AlignBin<T> at(i, s, rois);
        add_corner_slopes(at, features + at.map(s), grad[i], s, options, sums);
      }
    }
    for (int k = 0; k < 4; ++k) {
      const double sum = block_sum(sums[k]);
      if (threadIdx.x == 0) to[5 * r + 1 + k] = static_cast<T>(sound ? sum : NAN);
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
                                      const AlignOptions<T>& options, T* weights, T* to,
                                      cudaStream_t stream) {
  if (weights) {
    const AlignWeights<T> tables(weights, shape);
    CAFFE_LAUNCH(align_weights<T>, blocks_for(shape.rois * (shape.pooled_h + shape.pooled_w)),
                 kThreads, stream, rois, shape, options, tables);
    CAFFE_LAUNCH(align_backward_in_order<T>,
                 blocks_for(shape.images * shape.cells() * shape.channels), kThreads, stream, grad,
                 rois, shape, tables, to);
  } else {
    CAFFE_LAUNCH(align_backward<T>, blocks_for(shape.rois * shape.bins() * shape.channels),
                 kThreads, stream, grad, rois, shape, options, to);
  }
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

#define CAFFE_INSTANTIATE(T)                                                                     \
  template cudaError_t launch_roi_align<T>(const T*, const T*, const RegionShape&,               \
                                           const AlignOptions<T>&, T*, cudaStream_t);            \
  template cudaError_t launch_roi_align_backward<T>(const T*, const T*, const RegionShape&,      \
                                                    const AlignOptions<T>&, T*, T*,              \
                                                    cudaStream_t);                               \
  template cudaError_t launch_roi_align_rois_backward<T>(const T*, const T*, const T*,           \
                                                         const RegionShape&,                     \
                                                         const AlignOptions<T>&, T*,             \
                                                         cudaStream_t);
CAFFE_INSTANTIATE(float)
CAFFE_INSTANTIATE(double)

}  // namespace caffe_fast_rcnn
