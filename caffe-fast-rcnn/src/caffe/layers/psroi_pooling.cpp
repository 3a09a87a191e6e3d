// PSROIPooling (R-FCN): the mean of every bin of a grid laid over each region of interest, where
// every bin looks at channels of its own. Channels of the features and elements of a row of the
// result are numbered alike: (class * group + row of the bin) * group + column of the bin.
//
// The CPU kernels go plane by plane; backward does not depend on the number of threads.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include "checks.h"
#include "geometry.h"
#include "roi_cpu.h"

namespace caffe_fast_rcnn {

// Beyond it the square of the group size times the classes could overflow.
constexpr int64_t kMostGroups = 1 << 15;

void check_psroi_pool(const at::Tensor& features, const at::Tensor& rois, int64_t output_dim,
                      int64_t group_size) {
  check_regions("psroi_pool", features, rois, group_size, group_size);
  TORCH_CHECK_VALUE(output_dim > 0 && group_size < kMostGroups &&
                        features.size(1) == output_dim * group_size * group_size,
                    "psroi_pool: features must have output_dim * group_size^2 = ", output_dim,
                    " * ", group_size, "^2 channels, not ", features.sizes());
}

void check_psroi_pool_backward(const at::Tensor& grad, const at::Tensor& rois,
                               at::IntArrayRef feature_shape) {
  constexpr const char* op = "psroi_pool_backward";
  check_regions_backward(op, grad, rois, feature_shape);
  TORCH_CHECK_VALUE(grad.size(2) == grad.size(3) && grad.size(2) < kMostGroups &&
                        feature_shape[1] == grad.size(1) * grad.size(2) * grad.size(3),
                    op, ": grad is ", grad.sizes(), ", features are ", feature_shape);
}

namespace {

template <typename T>
T mean_of(const T* plane, const PositionSensitiveBin<T>& bin, int64_t width) {
  if (bin.is_empty()) return T(0);
  T sum = 0;
  for (int h = bin.rows.begin; h < bin.rows.end; ++h) {
    for (int w = bin.columns.begin; w < bin.columns.end; ++w) sum += plane[h * width + w];
  }
  return sum / bin.area();
}

template <typename T>
void add_to(T* plane, const PositionSensitiveBin<T>& bin, int64_t width, T grad) {
  if (bin.is_empty()) return;
  const T part = grad / bin.area();
  for (int h = bin.rows.begin; h < bin.rows.end; ++h) {
    for (int w = bin.columns.begin; w < bin.columns.end; ++w) plane[h * width + w] += part;
  }
}

// The channels of bin number b are b, b + bins, b + 2 bins, ...
template <typename T>
void pool_regions(const T* features, const T* rois, T scale, const RegionShape& s, T* out) {
  at::parallel_for(0, s.rois, 1, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const T* map = features + static_cast<int64_t>(rois[5 * r]) * s.channels * s.cells();
      for (int64_t b = 0; b < s.bins(); ++b) {
        const PositionSensitiveBin<T> bin(rois + 5 * r, scale, b, s);
        for (int64_t c = b; c < s.channels; c += s.bins()) {
          out[r * s.channels + c] = mean_of(map + c * s.cells(), bin, s.width);
        }
      }
    }
  });
}

template <typename T>
void spread_to_features(const T* grad, const T* rois, T scale, const RegionShape& s, T* to) {
  at::parallel_for(0, s.bins(), 1, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) {
      for (int64_t r = 0; r < s.rois; ++r) {
        const PositionSensitiveBin<T> bin(rois + 5 * r, scale, b, s);
        T* map = to + static_cast<int64_t>(rois[5 * r]) * s.channels * s.cells();
        for (int64_t c = b; c < s.channels; c += s.bins()) {
          add_to(map + c * s.cells(), bin, s.width, grad[r * s.channels + c]);
        }
      }
    }
  });
}

at::Tensor psroi_pool(const at::Tensor& features, const at::Tensor& rois, int64_t output_dim,
                      int64_t group_size, double spatial_scale) {
  check_psroi_pool(features, rois, output_dim, group_size);
  const RegionShape s = region_shape(rois, features.sizes(), group_size, group_size);
  const at::Tensor map = features.contiguous(), regions = rois.contiguous();
  at::Tensor out = at::empty({s.rois, output_dim, group_size, group_size}, map.options());
  AT_DISPATCH_FLOATING_TYPES(map.scalar_type(), "psroi_pool", [&] {
    const scalar_t* numbers = regions.const_data_ptr<scalar_t>();
    check_rois("psroi_pool", numbers, s.rois, s.images);
    pool_regions(map.const_data_ptr<scalar_t>(), numbers, static_cast<scalar_t>(spatial_scale), s,
                 out.mutable_data_ptr<scalar_t>());
  });
  return out;
}

at::Tensor psroi_pool_backward(const at::Tensor& grad, const at::Tensor& rois,
                               at::IntArrayRef feature_shape, double spatial_scale) {
  check_psroi_pool_backward(grad, rois, feature_shape);
  const RegionShape s = region_shape(rois, feature_shape, grad.size(2), grad.size(3));
  const at::Tensor gradient = grad.contiguous(), regions = rois.contiguous();
  at::Tensor out = at::zeros(feature_shape, grad.options());
  AT_DISPATCH_FLOATING_TYPES(grad.scalar_type(), "psroi_pool_backward", [&] {
    const scalar_t* numbers = regions.const_data_ptr<scalar_t>();
    check_rois("psroi_pool_backward", numbers, s.rois, s.images);
    spread_to_features(gradient.const_data_ptr<scalar_t>(), numbers,
                       static_cast<scalar_t>(spatial_scale), s, out.mutable_data_ptr<scalar_t>());
  });
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def(
      "psroi_pool(Tensor features, Tensor rois, int output_dim, int group_size, "
      "float spatial_scale) -> Tensor");
  m.def(
      "psroi_pool_backward(Tensor grad, Tensor rois, SymInt[] feature_shape, float spatial_scale) "
      "-> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) {
  m.impl("psroi_pool", &psroi_pool);
  m.impl("psroi_pool_backward", &psroi_pool_backward);
}

}  // namespace caffe_fast_rcnn
