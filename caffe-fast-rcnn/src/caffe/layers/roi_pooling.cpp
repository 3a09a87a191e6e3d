// ROIPooling (Fast R-CNN): the maximum of every bin of a grid laid over each region of interest.
//
// The CPU kernels. Forward works on channels_last features, so that the inner loops run over the
// channels of one cell; backward works plane by plane, so that the result does not depend on the
// number of threads.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "checks.h"
#include "geometry.h"
#include "roi_cpu.h"

namespace caffe_fast_rcnn {

void check_regions(const char* op, const at::Tensor& features, const at::Tensor& rois,
                   int64_t pooled_h, int64_t pooled_w) {
  TORCH_CHECK_VALUE(features.dim() == 4, op, ": features must be (N, C, H, W), not ",
                    features.sizes());
  check_real(op, "features", features);
  TORCH_CHECK_VALUE(rois.dim() == 2 && rois.size(1) == 5, op,
                    ": rois must be (R, 5): batch index, x1, y1, x2, y2; not ", rois.sizes());
  TORCH_CHECK_VALUE(pooled_h > 0 && pooled_w > 0, op, ": the grid must have bins, not ", pooled_h,
                    " x ", pooled_w);
  check_kind(op, "rois are", rois, "features are", features);
  check_map_size(op, features.sizes());
}

void check_regions_backward(const char* op, const at::Tensor& grad, const at::Tensor& rois,
                            at::IntArrayRef feature_shape) {
  TORCH_CHECK_VALUE(grad.dim() == 4 && grad.size(2) > 0 && grad.size(3) > 0, op,
                    ": grad must be (R, C, pooled_h, pooled_w), not ", grad.sizes());
  check_real(op, "grad", grad);
  TORCH_CHECK_VALUE(rois.dim() == 2 && rois.size(1) == 5 && rois.size(0) == grad.size(0), op,
                    ": rois are ", rois.sizes(), ", grad is ", grad.sizes());
  check_kind(op, "rois are", rois, "grad is", grad);
  TORCH_CHECK_VALUE(feature_shape.size() == 4 &&
                        std::all_of(feature_shape.begin(), feature_shape.end(),
                                    [](int64_t length) { return length >= 0; }),
                    op, ": feature_shape must be (N, C, H, W), not ", feature_shape);
  check_map_size(op, feature_shape);
}

void check_roi_pool_backward(const at::Tensor& grad, const at::Tensor& rois,
                             const at::Tensor& argmax, at::IntArrayRef feature_shape) {
  constexpr const char* op = "roi_pool_backward";
  check_regions_backward(op, grad, rois, feature_shape);
  TORCH_CHECK_VALUE(feature_shape[1] == grad.size(1), op, ": grad is ", grad.sizes(),
                    ", features are ", feature_shape);
  TORCH_CHECK_VALUE(argmax.sizes() == grad.sizes(), op, ": argmax is ", argmax.sizes(),
                    ", grad is ", grad.sizes());
  TORCH_CHECK_VALUE(argmax.scalar_type() == at::kInt, op, ": argmax must be int32, not ",
                    argmax.scalar_type());
  TORCH_CHECK_VALUE(argmax.device() == grad.device(), op, ": argmax is on ", argmax.device(),
                    ", grad is on ", grad.device());
}

namespace {

template <typename T>
void take_larger(const T* cell, int64_t channels, T* best) {
  for (int64_t c = 0; c < channels; ++c) best[c] = cell[c] > best[c] ? cell[c] : best[c];
}

template <typename T>
void take_larger(const T* cell, int32_t index, int64_t channels, T* best, int32_t* where) {
  for (int64_t c = 0; c < channels; ++c) {
    const bool is_larger = cell[c] > best[c];
    best[c] = is_larger ? cell[c] : best[c];
    where[c] = is_larger ? index : where[c];
  }
}

// The maxima of one region: best and, unless it is null, where are (bins, stride).
template <typename T>
void pool_region(const T* map, const Roi<T>& roi, const RegionShape& s, T* best, int32_t* where) {
  for (int ph = 0; ph < s.pooled_h; ++ph) {
    const Span rows = roi.y.cells(ph, static_cast<int>(s.height));
    for (int pw = 0; pw < s.pooled_w; ++pw, best += bin_stride(s.channels)) {
      const Span columns = roi.x.cells(pw, static_cast<int>(s.width));
      const bool empty = rows.begin >= rows.end || columns.begin >= columns.end;
      std::fill_n(best, s.channels, empty ? T(0) : lowest<T>());
      if (where) std::fill_n(where, s.channels, -1);
      for (int h = rows.begin; h < rows.end; ++h) {
        for (int w = columns.begin; w < columns.end; ++w) {
          const int64_t cell = h * s.width + w;
          const T* values = map + cell * s.channels;
          if (where) {
            take_larger(values, static_cast<int32_t>(cell), s.channels, best, where);
          } else {
            take_larger(values, s.channels, best);
          }
        }
      }
      if (where) where += bin_stride(s.channels);
    }
  }
}

template <typename T>
void pool_regions(const T* features, const T* rois, T scale, const RegionShape& s, T* out,
                  int32_t* argmax) {
  at::parallel_for(0, s.rois, 1, [&](int64_t first, int64_t last) {
    const int64_t stride = bin_stride(s.channels), size = s.channels * s.bins();
    std::vector<T> best(s.bins() * stride);
    std::vector<int32_t> where(argmax ? best.size() : 0);
    for (int64_t r = first; r < last; ++r) {
      const T* numbers = rois + 5 * r;
      const Roi<T> roi(numbers, scale, static_cast<int>(s.pooled_h), static_cast<int>(s.pooled_w));
      const T* map = features + static_cast<int64_t>(numbers[0]) * s.cells() * s.channels;
      pool_region(map, roi, s, best.data(), argmax ? where.data() : nullptr);
      transpose_bins(best.data(), stride, s.channels, s.bins(), out + r * size);
      if (argmax) {
        transpose_bins(where.data(), stride, s.channels, s.bins(), argmax + r * size);
      }
    }
  });
}

std::tuple<at::Tensor, at::Tensor> roi_pool(const at::Tensor& features, const at::Tensor& rois,
                                            int64_t pooled_h, int64_t pooled_w,
                                            double spatial_scale, bool with_argmax) {
  check_regions("roi_pool", features, rois, pooled_h, pooled_w);
  const RegionShape s = region_shape(rois, features.sizes(), pooled_h, pooled_w);
  const at::Tensor map = features.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor regions = rois.contiguous();
  at::Tensor out = at::empty({s.rois, s.channels, pooled_h, pooled_w}, map.options(),
                             at::MemoryFormat::Contiguous);
  at::Tensor argmax = with_argmax ? at::empty(out.sizes(), map.options().dtype(at::kInt))
                                  : at::empty({0}, map.options().dtype(at::kInt));
  AT_DISPATCH_FLOATING_TYPES(map.scalar_type(), "roi_pool", [&] {
    const scalar_t* numbers = regions.const_data_ptr<scalar_t>();
    check_rois("roi_pool", numbers, s.rois, s.images);
    pool_regions(map.const_data_ptr<scalar_t>(), numbers, static_cast<scalar_t>(spatial_scale), s,
                 out.mutable_data_ptr<scalar_t>(),
                 with_argmax ? argmax.mutable_data_ptr<int32_t>() : nullptr);
  });
  return {out, argmax};
}

void check_argmax(const at::Tensor& argmax, int64_t cells) {
  const int32_t* cell = argmax.const_data_ptr<int32_t>();
  bool sound = true;
  for (int64_t i = 0; i < argmax.numel(); ++i) sound &= cell[i] >= -1 && cell[i] < cells;
  if (sound) return;
  const int32_t* bad = std::find_if(cell, cell + argmax.numel(), [&](int32_t number) {
    return number < -1 || number >= cells;
  });
  TORCH_CHECK_VALUE(false, "roi_pool_backward: argmax, number ", bad - cell, " of ",
                    argmax.sizes(), ", is ", *bad, ", not a cell of a map of ", cells,
                    " cells nor -1");
}

// Adds the gradients of the bins of one channel of one region to the cells of their maxima.
template <typename T>
void add_to_maxima(const T* grad, const int32_t* cell, const Roi<T>& roi, const RegionShape& s,
                   T* plane) {
  const bool all_inside = roi.y.contains_bins(static_cast<int>(s.pooled_h)) &&
                          roi.x.contains_bins(static_cast<int>(s.pooled_w));
  const int width = static_cast<int>(s.width);
  for (int64_t b = 0; b < s.bins(); ++b) {
    if (cell[b] < 0) continue;
    if (all_inside || roi.contains(cell[b] / width, cell[b] % width)) plane[cell[b]] += grad[b];
  }
}

template <typename T>
void spread_to_features(const T* grad, const T* rois, const int32_t* argmax, T scale,
                        const RegionShape& s, T* to) {
  at::parallel_for(0, s.channels, 1, [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      for (int64_t r = 0; r < s.rois; ++r) {
        const T* numbers = rois + 5 * r;
        const Roi<T> roi(numbers, scale, static_cast<int>(s.pooled_h),
                         static_cast<int>(s.pooled_w));
        const int64_t start = (r * s.channels + c) * s.bins();
        T* plane = to + (static_cast<int64_t>(numbers[0]) * s.channels + c) * s.cells();
        add_to_maxima(grad + start, argmax + start, roi, s, plane);
      }
    }
  });
}

at::Tensor roi_pool_backward(const at::Tensor& grad, const at::Tensor& rois,
                             const at::Tensor& argmax, at::IntArrayRef feature_shape,
                             double spatial_scale) {
  check_roi_pool_backward(grad, rois, argmax, feature_shape);
  const RegionShape s = region_shape(rois, feature_shape, grad.size(2), grad.size(3));
  const at::Tensor gradient = grad.contiguous(), where = argmax.contiguous();
  const at::Tensor regions = rois.contiguous();
  at::Tensor out = at::zeros(feature_shape, grad.options());
  AT_DISPATCH_FLOATING_TYPES(grad.scalar_type(), "roi_pool_backward", [&] {
    const scalar_t* numbers = regions.const_data_ptr<scalar_t>();
    check_rois("roi_pool_backward", numbers, s.rois, s.images);
    check_argmax(where, s.cells());
    spread_to_features(gradient.const_data_ptr<scalar_t>(), numbers,
                       where.const_data_ptr<int32_t>(), static_cast<scalar_t>(spatial_scale), s,
                       out.mutable_data_ptr<scalar_t>());
  });
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def(
      "roi_pool(Tensor features, Tensor rois, int pooled_h, int pooled_w, float spatial_scale, "
      "bool with_argmax) -> (Tensor pooled, Tensor argmax)");
  m.def(
      "roi_pool_backward(Tensor grad, Tensor rois, Tensor argmax, SymInt[] feature_shape, "
      "float spatial_scale) -> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) {
  m.impl("roi_pool", &roi_pool);
  m.impl("roi_pool_backward", &roi_pool_backward);
}

}  // namespace caffe_fast_rcnn
