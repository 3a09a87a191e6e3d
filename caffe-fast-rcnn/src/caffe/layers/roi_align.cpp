// ROIAlign (He et al., Mask R-CNN): the mean of bilinear samples in every bin of a grid laid over
// each region of interest, with gradients for the features and for the regions' corners.
//
// The CPU kernels. The weights of a bin's cells are a product of one number per row and one per
// column, so that every cell is read once however many samples fall beside it; the inner loops run
// over the channels of a cell (channels_last). No result depends on the number of threads.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "checks.h"
#include "geometry.h"
#include "roi_align.h"
#include "roi_cpu.h"

namespace caffe_fast_rcnn {

static void check_sampling_ratio(const char* op, int64_t sampling_ratio) {
  TORCH_CHECK_VALUE(sampling_ratio <= std::numeric_limits<int16_t>::max(), op,
                    ": the sampling ratio ", sampling_ratio, " is too large");
}

void check_roi_align(const at::Tensor& features, const at::Tensor& rois, int64_t pooled_h,
                     int64_t pooled_w, int64_t sampling_ratio) {
  check_regions("roi_align", features, rois, pooled_h, pooled_w);
  check_sampling_ratio("roi_align", sampling_ratio);
}

void check_roi_align_backward(const char* op, const at::Tensor& grad, const at::Tensor& rois,
                              at::IntArrayRef feature_shape, int64_t sampling_ratio) {
  check_regions_backward(op, grad, rois, feature_shape);
  TORCH_CHECK_VALUE(feature_shape[1] == grad.size(1), op, ": grad is ", grad.sizes(),
                    ", features are ", feature_shape);
  check_sampling_ratio(op, sampling_ratio);
}

namespace {

// What a cell weighs in the mean of a bin, along one side of the region, and how that weight
// changes with the side's first and last coordinate.
template <typename T>
struct AlignCell {
  int cell;
  T weight, by_first, by_last;
};

// The cells that the bins of one side look at.
template <typename T>
class AlignCells {
 public:
  AlignCells(int64_t bins, int64_t size) : line_(size), bins_(bins) {}

  const std::vector<AlignCell<T>>& of(int bin) const { return bins_[bin]; }

  void lay(const AlignSide<T>& side) {
    const int size = static_cast<int>(line_.size());
    for (size_t bin = 0; bin < bins_.size(); ++bin) {
      std::fill(line_.begin(), line_.end(), AlignCell<T>{});
      touched_ = {size, 0};
      const Span samples = side.samples_over(static_cast<int>(bin), size);
      for (int i = samples.begin; i < samples.end; ++i) add(side, static_cast<int>(bin), i, size);
      bins_[bin].clear();
      for (int cell = touched_.begin; cell < touched_.end; ++cell) {
        AlignCell<T>& sum = line_[cell];
        sum.cell = cell;
        if (sum.weight != 0 || sum.by_first != 0 || sum.by_last != 0) bins_[bin].push_back(sum);
      }
    }
  }

 private:
  void add(const AlignSide<T>& side, int bin, int sample, int size) {
    const Tap<T> tap(side.position(bin, sample), size);
    if (!tap.inside) return;
    touched_ = {std::min(touched_.begin, tap.low), std::max(touched_.end, tap.high + 1)};
    const T count = static_cast<T>(side.samples());
    const T first = tap.slope * side.by_first(bin, sample) / count;
    const T last = tap.slope * side.by_last(bin, sample) / count;
    add(tap.low, tap.low_weight / count, -first, -last);
    add(tap.high, tap.high_weight / count, first, last);
  }

  void add(int cell, T weight, T by_first, T by_last) {
    line_[cell].weight += weight;
    line_[cell].by_first += by_first;
    line_[cell].by_last += by_last;
  }

  std::vector<AlignCell<T>> line_;  // all cells of the side, for the bin at hand
  Span touched_;                    // those that some sample has touched
  std::vector<std::vector<AlignCell<T>>> bins_;
};

// The grid over one region; it is laid anew for the next one.
template <typename T>
struct AlignGrid {
  AlignCells<T> y, x;

  explicit AlignGrid(const RegionShape& s) : y(s.pooled_h, s.height), x(s.pooled_w, s.width) {}

  void lay(const T* roi, const RegionShape& s, const AlignOptions<T>& options) {
    x.lay(AlignSide<T>(roi[1], roi[3], static_cast<int>(s.pooled_w), options));
    y.lay(AlignSide<T>(roi[2], roi[4], static_cast<int>(s.pooled_h), options));
  }

  // visit(bin, row, column) for every cell of every bin.
  template <typename Visit>
  void visit(const RegionShape& s, const Visit& visit) const {
    for (int ph = 0, bin = 0; ph < s.pooled_h; ++ph) {
      for (int pw = 0; pw < s.pooled_w; ++pw, ++bin) {
        for (const AlignCell<T>& row : y.of(ph)) {
          for (const AlignCell<T>& column : x.of(pw)) visit(bin, row, column);
        }
      }
    }
  }
};

template <typename T>
void add_scaled(T weight, const T* __restrict__ from, int64_t count, T* __restrict__ to) {
  for (int64_t i = 0; i < count; ++i) to[i] += weight * from[i];
}

template <typename T>
T dot(const T* a, const T* b, int64_t count) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

template <typename T>
int64_t image_start(const T* roi, const RegionShape& s) {
  return static_cast<int64_t>(roi[0]) * s.cells() * s.channels;
}

template <typename T>
void align_regions(const T* features, const T* rois, const AlignOptions<T>& options,
                   const RegionShape& s, T* out) {
  at::parallel_for(0, s.rois, 1, [&](int64_t first, int64_t last) {
    AlignGrid<T> grid(s);
    const int64_t stride = bin_stride(s.channels);
    std::vector<T> means(s.bins() * stride);
    for (int64_t r = first; r < last; ++r) {
      const T* map = features + image_start(rois + 5 * r, s);
      grid.lay(rois + 5 * r, s, options);
      std::fill(means.begin(), means.end(), T(0));
      grid.visit(s, [&](int bin, const AlignCell<T>& row, const AlignCell<T>& column) {
        add_scaled(row.weight * column.weight,
                   map + (row.cell * s.width + column.cell) * s.channels, s.channels,
                   means.data() + bin * stride);
      });
      transpose_bins(means.data(), stride, s.channels, s.bins(),
                     out + r * s.channels * s.bins());
    }
  });
}

// grad (R, bins, C); to (N, H, W, C). Each thread has some channels of all cells.
template <typename T>
void spread_to_features(const T* grad, const T* rois, const AlignOptions<T>& options,
                        const RegionShape& s, T* to) {
  at::parallel_for(0, s.channels, kChannelBlock, [&](int64_t first, int64_t last) {
    AlignGrid<T> grid(s);
    for (int64_t r = 0; r < s.rois; ++r) {
      const T* from = grad + r * s.bins() * s.channels + first;
      T* map = to + image_start(rois + 5 * r, s) + first;
      grid.lay(rois + 5 * r, s, options);
      grid.visit(s, [&](int bin, const AlignCell<T>& row, const AlignCell<T>& column) {
        add_scaled(row.weight * column.weight, from + bin * s.channels, last - first,
                   map + (row.cell * s.width + column.cell) * s.channels);
      });
    }
  });
}

// grad (R, bins, C); features (N, H, W, C); to (R, 5) holds zeros.
template <typename T>
void slopes_of_corners(const T* grad, const T* features, const T* rois,
                       const AlignOptions<T>& options, const RegionShape& s, T* to) {
  at::parallel_for(0, s.rois, 1, [&](int64_t first, int64_t last) {
    AlignGrid<T> grid(s);
    for (int64_t r = first; r < last; ++r) {
      const T* from = grad + r * s.bins() * s.channels;
      const T* map = features + image_start(rois + 5 * r, s);
      double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
      grid.lay(rois + 5 * r, s, options);
      grid.visit(s, [&](int bin, const AlignCell<T>& row, const AlignCell<T>& column) {
        const T slope = dot(from + bin * s.channels,
                            map + (row.cell * s.width + column.cell) * s.channels, s.channels);
        x1 += slope * row.weight * column.by_first;
        x2 += slope * row.weight * column.by_last;
        y1 += slope * column.weight * row.by_first;
        y2 += slope * column.weight * row.by_last;
      });
      const double corners[] = {x1, y1, x2, y2};
      for (int k = 0; k < 4; ++k) to[5 * r + 1 + k] = static_cast<T>(corners[k]);
    }
  });
}

at::Tensor roi_align(const at::Tensor& features, const at::Tensor& rois, int64_t pooled_h,
                     int64_t pooled_w, double spatial_scale, int64_t sampling_ratio,
                     bool aligned) {
  check_roi_align(features, rois, pooled_h, pooled_w, sampling_ratio);
  const RegionShape s = region_shape(rois, features.sizes(), pooled_h, pooled_w);
  const at::Tensor map = features.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor regions = rois.contiguous();
  at::Tensor out = at::empty({s.rois, s.channels, pooled_h, pooled_w}, map.options(),
                             at::MemoryFormat::Contiguous);
  AT_DISPATCH_FLOATING_TYPES(map.scalar_type(), "roi_align", [&] {
    const scalar_t* numbers = regions.const_data_ptr<scalar_t>();
    check_rois("roi_align", numbers, s.rois, s.images);
    align_regions(map.const_data_ptr<scalar_t>(), numbers,
                  align_options<scalar_t>(spatial_scale, sampling_ratio, aligned), s,
                  out.mutable_data_ptr<scalar_t>());
  });
  return out;
}

at::Tensor roi_align_backward(const at::Tensor& grad, const at::Tensor& rois,
                              at::IntArrayRef feature_shape, double spatial_scale,
                              int64_t sampling_ratio, bool aligned) {
  check_roi_align_backward("roi_align_backward", grad, rois, feature_shape, sampling_ratio);
  const RegionShape s = region_shape(rois, feature_shape, grad.size(2), grad.size(3));
  const at::Tensor gradient = grad.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor regions = rois.contiguous();
  at::Tensor out = at::empty(feature_shape, grad.options(), at::MemoryFormat::ChannelsLast).zero_();
  AT_DISPATCH_FLOATING_TYPES(grad.scalar_type(), "roi_align_backward", [&] {
    const scalar_t* numbers = regions.const_data_ptr<scalar_t>();
    check_rois("roi_align_backward", numbers, s.rois, s.images);
    spread_to_features(gradient.const_data_ptr<scalar_t>(), numbers,
                       align_options<scalar_t>(spatial_scale, sampling_ratio, aligned), s,
                       out.mutable_data_ptr<scalar_t>());
  });
  return out;
}

at::Tensor roi_align_rois_backward(const at::Tensor& grad, const at::Tensor& features,
                                   const at::Tensor& rois, double spatial_scale,
                                   int64_t sampling_ratio, bool aligned) {
  constexpr const char* op = "roi_align_rois_backward";
  check_roi_align_backward(op, grad, rois, features.sizes(), sampling_ratio);
  check_regions(op, features, rois, grad.size(2), grad.size(3));
  const RegionShape s = region_shape(rois, features.sizes(), grad.size(2), grad.size(3));
  const at::Tensor gradient = grad.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor map = features.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor regions = rois.contiguous();
  at::Tensor out = at::zeros({s.rois, 5}, rois.options());
  AT_DISPATCH_FLOATING_TYPES(grad.scalar_type(), op, [&] {
    const scalar_t* numbers = regions.const_data_ptr<scalar_t>();
    check_rois(op, numbers, s.rois, s.images);
    slopes_of_corners(gradient.const_data_ptr<scalar_t>(), map.const_data_ptr<scalar_t>(), numbers,
                      align_options<scalar_t>(spatial_scale, sampling_ratio, aligned), s,
                      out.mutable_data_ptr<scalar_t>());
  });
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def(
      "roi_align(Tensor features, Tensor rois, int pooled_h, int pooled_w, float spatial_scale, "
      "int sampling_ratio, bool aligned) -> Tensor");
  m.def(
      "roi_align_backward(Tensor grad, Tensor rois, SymInt[] feature_shape, float spatial_scale, "
      "int sampling_ratio, bool aligned) -> Tensor");
  m.def(
      "roi_align_rois_backward(Tensor grad, Tensor features, Tensor rois, float spatial_scale, "
      "int sampling_ratio, bool aligned) -> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) {
  m.impl("roi_align", &roi_align);
  m.impl("roi_align_backward", &roi_align_backward);
  m.impl("roi_align_rois_backward", &roi_align_rois_backward);
}

}  // namespace caffe_fast_rcnn
