// What the CPU and the CUDA halves of the operators share around their kernels: what they demand of
// their operands, in backward as in forward (a ValueError names the operand and what it is), and
// how they lay them out.
#pragma once

#include <ATen/ATen.h>

#include <limits>
#include <optional>

#include "roi_align.h"

namespace caffe_fast_rcnn {

using OptionalTensor = std::optional<at::Tensor>;

// Of every operator over regions of interest.
void check_regions(const char* op, const at::Tensor& features, const at::Tensor& rois,
                   int64_t pooled_h, int64_t pooled_w);
// Of the gradient of every operator over regions of interest: grad is (R, ..., pooled_h, pooled_w).
void check_regions_backward(const char* op, const at::Tensor& grad, const at::Tensor& rois,
                            at::IntArrayRef feature_shape);
void check_roi_pool_backward(const at::Tensor& grad, const at::Tensor& rois,
                             const at::Tensor& argmax, at::IntArrayRef feature_shape);
void check_roi_align(const at::Tensor& features, const at::Tensor& rois, int64_t pooled_h,
                     int64_t pooled_w, int64_t sampling_ratio);
void check_roi_align_backward(const char* op, const at::Tensor& grad, const at::Tensor& rois,
                              at::IntArrayRef feature_shape, int64_t sampling_ratio);
void check_psroi_pool(const at::Tensor& features, const at::Tensor& rois, int64_t output_dim,
                      int64_t group_size);
void check_psroi_pool_backward(const at::Tensor& grad, const at::Tensor& rois,
                               at::IntArrayRef feature_shape);
void check_smooth_l1_loss(const at::Tensor& pred, const at::Tensor& target,
                          const OptionalTensor& inside, const OptionalTensor& outside,
                          double sigma);
void check_smooth_l1_loss_backward(const at::Tensor& grad, const at::Tensor& pred,
                                   const at::Tensor& target, const OptionalTensor& inside,
                                   const OptionalTensor& outside, double sigma);
void check_nms(const char* op, const at::Tensor& boxes, const at::Tensor& scores,
               const OptionalTensor& groups);
void check_lrn_across(const at::Tensor& x, int64_t size);
void check_lrn_across_backward(const at::Tensor& grad, const at::Tensor& x, int64_t size);
void check_sgd_update(const at::Tensor& weight, const at::Tensor& grad, const at::Tensor& history);

// Kernels compute in float32 or float64.
inline void check_real(const char* op, const char* name, const at::Tensor& operand) {
  TORCH_CHECK_VALUE(operand.scalar_type() == at::kFloat || operand.scalar_type() == at::kDouble,
                    op, ": ", name, " must be float32 or float64, not ", operand.scalar_type());
}

// Kernels of test nets and of depthwise convolutions compute in float32, on the CPU alone.
inline void check_float_on_cpu(const char* op, const char* name, const at::Tensor& operand,
                               int64_t axes) {
  TORCH_CHECK_VALUE(operand.scalar_type() == at::kFloat && operand.device().is_cpu() &&
                        operand.dim() == axes,
                    op, ": ", name, " must be float32 on the CPU with ", axes, " axes, not ",
                    operand.scalar_type(), " on ", operand.device(), " of shape ",
                    operand.sizes());
}

// A number for every output, or none.
inline void check_bias(const char* op, const OptionalTensor& bias, int64_t outputs) {
  if (!bias) return;
  check_float_on_cpu(op, "bias", *bias, 1);
  TORCH_CHECK_VALUE(bias->size(0) == outputs, op, ": bias must be (", outputs, ",), not ",
                    bias->sizes());
}

// An operand that must have the type of another one and be on its device. Both names come with
// their verb: "rois are", "grad is".
inline void check_kind(const char* op, const char* name, const at::Tensor& operand,
                       const char* other_name, const at::Tensor& other) {
  TORCH_CHECK_VALUE(operand.scalar_type() == other.scalar_type(), op, ": ", name, " ",
                    operand.scalar_type(), ", ", other_name, " ", other.scalar_type());
  TORCH_CHECK_VALUE(operand.device() == other.device(), op, ": ", name, " on ", operand.device(),
                    ", ", other_name, " on ", other.device());
}

// An operand that must have the shape, the type and the device of another one.
inline void check_alike(const char* op, const char* name, const at::Tensor& operand,
                        const char* other_name, const at::Tensor& other) {
  TORCH_CHECK_VALUE(operand.sizes() == other.sizes(), op, ": ", name, " ", operand.sizes(), ", ",
                    other_name, " ", other.sizes());
  check_kind(op, name, operand, other_name, other);
}

// The kernels number the cells of a map with int32.
inline void check_map_size(const char* op, at::IntArrayRef feature_shape) {
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  const int64_t height = feature_shape[2], width = feature_shape[3];
  TORCH_CHECK_VALUE(height <= most && width <= most && height * width <= most, op,
                    ": the feature map ", feature_shape, " is too large");
}

// (N, C, ...) -> (N, ..., C), contiguous; no copy of a channels_last tensor.
inline at::Tensor channels_last_rows(const at::Tensor& x) { return x.movedim(1, -1).contiguous(); }

// Lets autograd notice that the weight and the history have changed in place.
inline void note_update(const at::Tensor& weight, const at::Tensor& history) {
  weight.unsafeGetTensorImpl()->bump_version();
  history.unsafeGetTensorImpl()->bump_version();
}

inline RegionShape region_shape(const at::Tensor& rois, at::IntArrayRef feature_shape,
                                int64_t pooled_h, int64_t pooled_w) {
  return {rois.size(0),     feature_shape[0], feature_shape[1], feature_shape[2],
          feature_shape[3], pooled_h,         pooled_w};
}

template <typename T>
AlignOptions<T> align_options(double spatial_scale, int64_t sampling_ratio, bool aligned) {
  return {static_cast<T>(spatial_scale), static_cast<int>(sampling_ratio < 0 ? 0 : sampling_ratio),
          aligned};
}

// x itself, or a copy with the strides of `like`.
at::Tensor in_layout_of(const at::Tensor& like, const at::Tensor& x);

// The memory format in which an elementwise kernel walks over all its operands.
inline at::MemoryFormat common_format(const at::Tensor& x) {
  return x.suggest_memory_format();
}

// The operand laid out in `format`; an undefined tensor for an operand that was not given.
inline at::Tensor laid_out(const OptionalTensor& x, at::MemoryFormat format) {
  return x ? x->contiguous(format) : at::Tensor();
}

// The float32 number t for which `iou >= t` says what the original's comparison says.
// nms/cpu_nms.pyx suppresses where iou >= thresh, the float32 iou against a double thresh;
// nms_kernel.cu and py_cpu_nms.py suppress where iou > thresh, both float32.
float nms_threshold(double thresh, bool inclusive);

}  // namespace caffe_fast_rcnn
