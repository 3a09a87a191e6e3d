// The CUDA halves of the operators over regions of interest; see bindings_cuda.cpp.
#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Dispatch.h>
#include <torch/library.h>

#include <tuple>

#include "checks.h"
#include "launchers.h"
#include "on_device.h"

namespace caffe_fast_rcnn {
namespace {

// torch.use_deterministic_algorithms(True) asks for the same numbers in every run. All sums of
// these operators can be had in order, so that none has to refuse (alertNotDeterministic).
Sum summation() {
  return at::globalContext().deterministicAlgorithms() ? Sum::kInOrder : Sum::kAtomic;
}

std::tuple<at::Tensor, at::Tensor> roi_pool(const at::Tensor& features, const at::Tensor& rois,
                                            int64_t pooled_h, int64_t pooled_w,
                                            double spatial_scale, bool with_argmax) {
  check_regions("roi_pool", features, rois, pooled_h, pooled_w);
  const OnDevice on(features);
  const at::Tensor map = features.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor regions = rois.contiguous();
  const RegionShape s = region_shape(rois, features.sizes(), pooled_h, pooled_w);
  at::Tensor out = at::empty({s.rois, s.channels, pooled_h, pooled_w}, map.options());
  at::Tensor argmax = at::empty({0}, map.options().dtype(at::kInt));
  if (with_argmax) argmax = at::empty(out.sizes(), argmax.options());
  if (out.numel() == 0) return {out, argmax};
  AT_DISPATCH_FLOATING_TYPES(map.scalar_type(), "roi_pool", [&] {
    check_launch("roi_pool",
                 launch_roi_pool(map.const_data_ptr<scalar_t>(), regions.const_data_ptr<scalar_t>(),
                                 s, static_cast<scalar_t>(spatial_scale),
                                 out.mutable_data_ptr<scalar_t>(),
                                 with_argmax ? argmax.mutable_data_ptr<int32_t>() : nullptr,
                                 on.stream));
  });
  return {out, argmax};
}

at::Tensor roi_pool_backward(const at::Tensor& grad, const at::Tensor& rois,
                             const at::Tensor& argmax, at::IntArrayRef feature_shape,
                             double spatial_scale) {
  check_roi_pool_backward(grad, rois, argmax, feature_shape);
  const OnDevice on(grad);
  const at::Tensor gradient = grad.contiguous(), where = argmax.contiguous();
  const at::Tensor regions = rois.contiguous();
  const RegionShape s = region_shape(rois, feature_shape, grad.size(2), grad.size(3));
  at::Tensor out = at::zeros(feature_shape, grad.options());
  if (grad.numel() == 0 || out.numel() == 0) return out;
  AT_DISPATCH_FLOATING_TYPES(grad.scalar_type(), "roi_pool_backward", [&] {
    check_launch("roi_pool_backward",
                 launch_roi_pool_backward(
                     gradient.const_data_ptr<scalar_t>(), regions.const_data_ptr<scalar_t>(),
                     where.const_data_ptr<int32_t>(), s, static_cast<scalar_t>(spatial_scale),
                     summation(), out.mutable_data_ptr<scalar_t>(), on.stream));
  });
  return out;
}

at::Tensor roi_align(const at::Tensor& features, const at::Tensor& rois, int64_t pooled_h,
                     int64_t pooled_w, double spatial_scale, int64_t sampling_ratio,
                     bool aligned) {
  check_roi_align(features, rois, pooled_h, pooled_w, sampling_ratio);
  const OnDevice on(features);
  const at::Tensor map = features.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor regions = rois.contiguous();
  const RegionShape s = region_shape(rois, features.sizes(), pooled_h, pooled_w);
  at::Tensor out = at::empty({s.rois, s.channels, pooled_h, pooled_w}, map.options());
  if (out.numel() == 0) return out;
  AT_DISPATCH_FLOATING_TYPES(map.scalar_type(), "roi_align", [&] {
    check_launch("roi_align",
                 launch_roi_align(map.const_data_ptr<scalar_t>(),
                                  regions.const_data_ptr<scalar_t>(), s,
                                  align_options<scalar_t>(spatial_scale, sampling_ratio, aligned),
                                  out.mutable_data_ptr<scalar_t>(), on.stream));
  });
  return out;
}

at::Tensor roi_align_backward(const at::Tensor& grad, const at::Tensor& rois,
                              at::IntArrayRef feature_shape, double spatial_scale,
                              int64_t sampling_ratio, bool aligned) {
  check_roi_align_backward("roi_align_backward", grad, rois, feature_shape, sampling_ratio);
  const OnDevice on(grad);
  const at::Tensor gradient = grad.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor regions = rois.contiguous();
  const RegionShape s = region_shape(rois, feature_shape, grad.size(2), grad.size(3));
  at::Tensor out = at::empty(feature_shape, grad.options(), at::MemoryFormat::ChannelsLast).zero_();
  if (grad.numel() == 0 || out.numel() == 0) return out;
  const bool in_order = summation() == Sum::kInOrder;
  const int64_t weights = s.rois * (s.pooled_h * s.height + s.pooled_w * s.width);
  const at::Tensor scratch = at::empty({in_order ? weights : 0}, grad.options());
  AT_DISPATCH_FLOATING_TYPES(grad.scalar_type(), "roi_align_backward", [&] {
    check_launch("roi_align_backward",
                 launch_roi_align_backward(
                     gradient.const_data_ptr<scalar_t>(), regions.const_data_ptr<scalar_t>(), s,
                     align_options<scalar_t>(spatial_scale, sampling_ratio, aligned),
                     in_order ? scratch.mutable_data_ptr<scalar_t>() : nullptr,
                     out.mutable_data_ptr<scalar_t>(), on.stream));
  });
  return out;
}

at::Tensor roi_align_rois_backward(const at::Tensor& grad, const at::Tensor& features,
                                   const at::Tensor& rois, double spatial_scale,
                                   int64_t sampling_ratio, bool aligned) {
  constexpr const char* op = "roi_align_rois_backward";
  check_roi_align_backward(op, grad, rois, features.sizes(), sampling_ratio);
  check_regions(op, features, rois, grad.size(2), grad.size(3));
  const OnDevice on(grad);
  const at::Tensor gradient = grad.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor map = features.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor regions = rois.contiguous();
  const RegionShape s = region_shape(rois, features.sizes(), grad.size(2), grad.size(3));
  at::Tensor out = at::zeros({s.rois, 5}, rois.options());
  if (grad.numel() == 0) return out;
  AT_DISPATCH_FLOATING_TYPES(grad.scalar_type(), op, [&] {
    check_launch(op, launch_roi_align_rois_backward(
                         gradient.const_data_ptr<scalar_t>(), map.const_data_ptr<scalar_t>(),
                         regions.const_data_ptr<scalar_t>(), s,
                         align_options<scalar_t>(spatial_scale, sampling_ratio, aligned),
                         out.mutable_data_ptr<scalar_t>(), on.stream));
  });
  return out;
}

at::Tensor psroi_pool(const at::Tensor& features, const at::Tensor& rois, int64_t output_dim,
                      int64_t group_size, double spatial_scale) {
  check_psroi_pool(features, rois, output_dim, group_size);
  const OnDevice on(features);
  const at::Tensor map = features.contiguous(), regions = rois.contiguous();
  const RegionShape s = region_shape(rois, features.sizes(), group_size, group_size);
  at::Tensor out = at::empty({s.rois, output_dim, group_size, group_size}, map.options());
  if (out.numel() == 0) return out;
  AT_DISPATCH_FLOATING_TYPES(map.scalar_type(), "psroi_pool", [&] {
    check_launch("psroi_pool",
                 launch_psroi_pool(map.const_data_ptr<scalar_t>(),
                                   regions.const_data_ptr<scalar_t>(), s,
                                   static_cast<scalar_t>(spatial_scale),
                                   out.mutable_data_ptr<scalar_t>(), on.stream));
  });
  return out;
}

at::Tensor psroi_pool_backward(const at::Tensor& grad, const at::Tensor& rois,
                               at::IntArrayRef feature_shape, double spatial_scale) {
  check_psroi_pool_backward(grad, rois, feature_shape);
  const OnDevice on(grad);
  const at::Tensor gradient = grad.contiguous(), regions = rois.contiguous();
  const RegionShape s = region_shape(rois, feature_shape, grad.size(2), grad.size(3));
  at::Tensor out = at::zeros(feature_shape, grad.options());
  if (grad.numel() == 0 || out.numel() == 0) return out;
  AT_DISPATCH_FLOATING_TYPES(grad.scalar_type(), "psroi_pool_backward", [&] {
    check_launch("psroi_pool_backward",
                 launch_psroi_pool_backward(
                     gradient.const_data_ptr<scalar_t>(), regions.const_data_ptr<scalar_t>(), s,
                     static_cast<scalar_t>(spatial_scale), summation(),
                     out.mutable_data_ptr<scalar_t>(), on.stream));
  });
  return out;
}

}  // namespace

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CUDA, m) {
  m.impl("roi_pool", &roi_pool);
  m.impl("roi_pool_backward", &roi_pool_backward);
  m.impl("roi_align", &roi_align);
  m.impl("roi_align_backward", &roi_align_backward);
  m.impl("roi_align_rois_backward", &roi_align_rois_backward);
  m.impl("psroi_pool", &psroi_pool);
  m.impl("psroi_pool_backward", &psroi_pool_backward);
}

}  // namespace caffe_fast_rcnn
