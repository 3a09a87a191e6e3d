// One step of momentum with weight decay, in one pass over the three arrays:
// history = momentum * history + lr * (grad + decay * weight); weight -= history.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include "checks.h"
#include "geometry.h"

namespace caffe_fast_rcnn {

void check_sgd_update(const at::Tensor& weight, const at::Tensor& grad,
                      const at::Tensor& history) {
  constexpr const char* op = "sgd_update_";
  check_real(op, "weight", weight);
  TORCH_CHECK_VALUE(weight.is_non_overlapping_and_dense(), op, ": the weight ", weight.sizes(),
                    " must fill its memory");
  check_alike(op, "grad is", grad, "weight is", weight);
  check_alike(op, "history is", history, "weight is", weight);
  TORCH_CHECK_VALUE(history.strides() == weight.strides(), op, ": history has strides ",
                    history.strides(), ", weight ", weight.strides());
}

at::Tensor in_layout_of(const at::Tensor& like, const at::Tensor& x) {
  return x.strides() == like.strides() ? x : at::empty_like(like).copy_(x);
}

namespace {

constexpr int64_t kGrain = 1 << 15;

void sgd_update_(const at::Tensor& weight, const at::Tensor& grad, const at::Tensor& history,
                 double lr, double momentum, double decay) {
  check_sgd_update(weight, grad, history);
  const at::Tensor gradient = in_layout_of(weight, grad);
  AT_DISPATCH_FLOATING_TYPES(weight.scalar_type(), "sgd_update_", [&] {
    const scalar_t rate = static_cast<scalar_t>(lr), keep = static_cast<scalar_t>(momentum);
    const scalar_t shrink = static_cast<scalar_t>(decay);
    scalar_t* __restrict__ w = weight.mutable_data_ptr<scalar_t>();
    scalar_t* __restrict__ h = history.mutable_data_ptr<scalar_t>();
    const scalar_t* __restrict__ g = gradient.const_data_ptr<scalar_t>();
    at::parallel_for(0, weight.numel(), kGrain, [=](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) momentum_update(w[i], g[i], h[i], rate, keep, shrink);
    });
  });
  note_update(weight, history);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def(
      "sgd_update_(Tensor(a!) weight, Tensor grad, Tensor(b!) history, float lr, float momentum, "
      "float decay) -> ()");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) { m.impl("sgd_update_", &sgd_update_); }

}  // namespace caffe_fast_rcnn
