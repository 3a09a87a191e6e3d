// The CUDA halves of the operators: PyTorch's tensors in, launchers of the .cu files out. Compiled
// with a CUDA PyTorch only. All work is queued on PyTorch's current stream. The operators over
// regions of interest are in bindings_roi_cuda.cpp.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <torch/library.h>

#include <algorithm>
#include <tuple>

#include "checks.h"
#include "launchers.h"
#include "on_device.h"

namespace caffe_fast_rcnn {
namespace {

// The operands of SmoothL1Loss in one memory layout; keeps them alive while the kernels are queued.
struct SmoothL1Tensors {
  at::Tensor pred, target, inside, outside;
  double sigma;

  SmoothL1Tensors(const at::Tensor& pred_, const at::Tensor& target_,
                  const OptionalTensor& inside_, const OptionalTensor& outside_, double sigma_)
      : pred(pred_.contiguous(common_format(pred_))),
        target(target_.contiguous(common_format(pred_))),
        inside(laid_out(inside_, common_format(pred_))),
        outside(laid_out(outside_, common_format(pred_))),
        sigma(sigma_) {}

  template <typename T>
  SmoothL1Operands<T> operands() const {
    return {pred.const_data_ptr<T>(),
            target.const_data_ptr<T>(),
            inside.defined() ? inside.const_data_ptr<T>() : nullptr,
            outside.defined() ? outside.const_data_ptr<T>() : nullptr,
            pred.numel(),
            static_cast<T>(sigma * sigma),
            static_cast<T>(pred.size(0))};
  }
};

at::Tensor smooth_l1_loss(const at::Tensor& pred, const at::Tensor& target,
                          const OptionalTensor& inside, const OptionalTensor& outside,
                          double sigma) {
  check_smooth_l1_loss(pred, target, inside, outside, sigma);
  if (pred.numel() == 0) return at::zeros({}, pred.options());
  const OnDevice on(pred);
  const SmoothL1Tensors tensors(pred, target, inside, outside, sigma);
  at::Tensor parts = at::empty({kSmoothL1Parts}, pred.options().dtype(at::kDouble));
  at::Tensor loss = at::empty({}, pred.options());
  AT_DISPATCH_FLOATING_TYPES(pred.scalar_type(), "smooth_l1_loss", [&] {
    check_launch("smooth_l1_loss",
                 launch_smooth_l1(tensors.operands<scalar_t>(), parts.mutable_data_ptr<double>(),
                                  loss.mutable_data_ptr<scalar_t>(), on.stream));
  });
  return loss;
}

at::Tensor smooth_l1_loss_backward(const at::Tensor& grad, const at::Tensor& pred,
                                   const at::Tensor& target, const OptionalTensor& inside,
                                   const OptionalTensor& outside, double sigma) {
  check_smooth_l1_loss_backward(grad, pred, target, inside, outside, sigma);
  at::Tensor result = at::empty(pred.sizes(), pred.options(), common_format(pred));
  if (pred.numel() == 0) return result;
  const OnDevice on(pred);
  const SmoothL1Tensors tensors(pred, target, inside, outside, sigma);
  AT_DISPATCH_FLOATING_TYPES(pred.scalar_type(), "smooth_l1_loss_backward", [&] {
    check_launch("smooth_l1_loss_backward",
                 launch_smooth_l1_backward(tensors.operands<scalar_t>(),
                                           grad.const_data_ptr<scalar_t>(),
                                           result.mutable_data_ptr<scalar_t>(), on.stream));
  });
  return result;
}

at::Tensor nms(const at::Tensor& boxes, const at::Tensor& scores, const OptionalTensor& groups,
               double thresh, bool inclusive, int64_t max_keep) {
  check_nms("nms", boxes, scores, groups);
  const at::TensorOptions long_options = boxes.options().dtype(at::kLong);
  const int64_t count = boxes.size(0);
  if (count == 0) return at::empty({0}, long_options);
  const OnDevice on(boxes);
  const at::Tensor order = std::get<1>(scores.sort(/*stable=*/true, 0, /*descending=*/true));
  const at::Tensor sorted = boxes.index_select(0, order);
  const at::Tensor group_of = groups ? groups->index_select(0, order) : at::Tensor();
  const int64_t width = (count + kNmsBits - 1) / kNmsBits;
  at::Tensor words = at::empty({std::min(count, kNmsRows) * width}, long_options);
  at::Tensor removed = at::zeros({width}, long_options), kept_count = at::zeros({1}, long_options);
  at::Tensor kept = at::zeros({count}, boxes.options().dtype(at::kBool));
  const NmsArguments arguments{sorted.const_data_ptr<float>(),
                               groups ? group_of.const_data_ptr<int64_t>() : nullptr, count,
                               max_keep < 0 ? count : max_keep, nms_threshold(thresh, inclusive)};
  check_launch("nms",
               launch_nms(arguments, reinterpret_cast<uint64_t*>(words.mutable_data_ptr<int64_t>()),
                          reinterpret_cast<uint64_t*>(removed.mutable_data_ptr<int64_t>()),
                          kept_count.mutable_data_ptr<int64_t>(), kept.mutable_data_ptr<bool>(),
                          on.stream));
  return order.masked_select(kept);
}

template <typename T>
LrnArguments<T> lrn_arguments(const at::Tensor& x, int64_t size, double alpha, double beta,
                              double k) {
  return {x.numel() / x.size(1), x.size(1), size, static_cast<T>(alpha / static_cast<double>(size)),
          static_cast<T>(beta), static_cast<T>(k)};
}

at::Tensor lrn_across(const at::Tensor& x, int64_t size, double alpha, double beta, double k) {
  check_lrn_across(x, size);
  const OnDevice on(x);
  const at::Tensor from = channels_last_rows(x);
  at::Tensor to = at::empty_like(from);
  if (x.numel() == 0) return to.movedim(-1, 1);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "lrn_across", [&] {
    check_launch("lrn_across", launch_lrn(lrn_arguments<scalar_t>(x, size, alpha, beta, k),
                                          from.const_data_ptr<scalar_t>(),
                                          to.mutable_data_ptr<scalar_t>(), on.stream));
  });
  return to.movedim(-1, 1);
}

at::Tensor lrn_across_backward(const at::Tensor& grad, const at::Tensor& x, int64_t size,
                               double alpha, double beta, double k) {
  check_lrn_across_backward(grad, x, size);
  const OnDevice on(x);
  const at::Tensor from = channels_last_rows(x), gradient = channels_last_rows(grad);
  at::Tensor to = at::empty_like(from), ratios = at::empty_like(from);
  if (x.numel() == 0) return to.movedim(-1, 1);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "lrn_across_backward", [&] {
    check_launch("lrn_across_backward",
                 launch_lrn_backward(lrn_arguments<scalar_t>(x, size, alpha, beta, k),
                                     gradient.const_data_ptr<scalar_t>(),
                                     from.const_data_ptr<scalar_t>(),
                                     ratios.mutable_data_ptr<scalar_t>(),
                                     to.mutable_data_ptr<scalar_t>(), on.stream));
  });
  return to.movedim(-1, 1);
}

void sgd_update_(const at::Tensor& weight, const at::Tensor& grad, const at::Tensor& history,
                 double lr, double momentum, double decay) {
  check_sgd_update(weight, grad, history);
  if (weight.numel() == 0) return;
  const OnDevice on(weight);
  const at::Tensor gradient = in_layout_of(weight, grad);
  AT_DISPATCH_FLOATING_TYPES(weight.scalar_type(), "sgd_update_", [&] {
    check_launch("sgd_update_",
                 launch_sgd_update(weight.mutable_data_ptr<scalar_t>(),
                                   gradient.const_data_ptr<scalar_t>(),
                                   history.mutable_data_ptr<scalar_t>(), weight.numel(),
                                   static_cast<scalar_t>(lr), static_cast<scalar_t>(momentum),
                                   static_cast<scalar_t>(decay), on.stream));
  });
  note_update(weight, history);
}

}  // namespace

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CUDA, m) {
  m.impl("smooth_l1_loss", &smooth_l1_loss);
  m.impl("smooth_l1_loss_backward", &smooth_l1_loss_backward);
  m.impl("nms", &nms);
  m.impl("lrn_across", &lrn_across);
  m.impl("lrn_across_backward", &lrn_across_backward);
  m.impl("sgd_update_", &sgd_update_);
}

}  // namespace caffe_fast_rcnn
