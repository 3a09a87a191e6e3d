// SmoothL1Loss (Fast R-CNN): sum(outside * smooth_l1(inside * (pred - target))) / pred.shape[0].
// The CPU kernels; without weights both weights are one.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "checks.h"
#include "geometry.h"

namespace caffe_fast_rcnn {

void check_smooth_l1_loss(const at::Tensor& pred, const at::Tensor& target,
                          const OptionalTensor& inside, const OptionalTensor& outside,
                          double sigma) {
  constexpr const char* op = "smooth_l1_loss";
  TORCH_CHECK_VALUE(pred.dim() > 0, op, ": pred must have a first axis to divide by");
  check_real(op, "pred", pred);
  TORCH_CHECK_VALUE(sigma > 0 && std::isfinite(sigma), op,
                    ": sigma must be positive and finite, not ", sigma);
  check_alike(op, "target is", target, "pred is", pred);
  if (inside) check_alike(op, "inside is", *inside, "pred is", pred);
  if (outside) check_alike(op, "outside is", *outside, "pred is", pred);
}

void check_smooth_l1_loss_backward(const at::Tensor& grad, const at::Tensor& pred,
                                   const at::Tensor& target, const OptionalTensor& inside,
                                   const OptionalTensor& outside, double sigma) {
  check_smooth_l1_loss(pred, target, inside, outside, sigma);
  constexpr const char* op = "smooth_l1_loss_backward";
  TORCH_CHECK_VALUE(grad.numel() == 1, op, ": grad must be one number, not ", grad.sizes());
  check_kind(op, "grad is", grad, "pred is", pred);
}

namespace {

constexpr int64_t kGrain = 1 << 15;
constexpr int64_t kLanes = 16;

// The operands in one memory layout, and plain pointers to them (null: a weight of one).
template <typename T>
struct Operands {
  at::Tensor pred, target, inside, outside;
  const T *p, *t, *in, *out;

  Operands(const at::Tensor& pred_, const at::Tensor& target_, const OptionalTensor& inside_,
           const OptionalTensor& outside_) {
    const at::MemoryFormat format = common_format(pred_);
    pred = pred_.contiguous(format);
    target = target_.contiguous(format);
    inside = laid_out(inside_, format);
    outside = laid_out(outside_, format);
    p = pred.const_data_ptr<T>();
    t = target.const_data_ptr<T>();
    in = inside.defined() ? inside.const_data_ptr<T>() : nullptr;
    out = outside.defined() ? outside.const_data_ptr<T>() : nullptr;
  }

  T inside_weight(int64_t i) const { return in ? in[i] : T(1); }
  T outside_weight(int64_t i) const { return out ? out[i] : T(1); }
  T difference(int64_t i) const { return inside_weight(i) * (p[i] - t[i]); }
};

// The sum of the losses from first to last; kInside, kOutside: whether there are such weights. Each
// lane sums up for itself: one sum alone would wait for its last addition at every number.
template <bool kInside, bool kOutside, typename T>
double sum_of(const Operands<T>& of, T sigma2, int64_t first, int64_t last) {
  const T *p = of.p, *t = of.t, *in = of.in, *out = of.out;
  const auto loss = [=](int64_t i) {
    const T difference = p[i] - t[i];
    const T value = smooth_l1(kInside ? in[i] * difference : difference, sigma2);
    return kOutside ? out[i] * value : value;
  };
  double lanes[kLanes] = {};
  int64_t i = first;
  for (; i + kLanes <= last; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += loss(i + lane);
  }
  for (; i < last; ++i) lanes[0] += loss(i);
  return std::accumulate(lanes, lanes + kLanes, 0.0);
}

template <typename T>
double sum_of(const Operands<T>& of, T sigma2, int64_t first, int64_t last) {
  if (of.in && of.out) return sum_of<true, true>(of, sigma2, first, last);
  if (of.in) return sum_of<true, false>(of, sigma2, first, last);
  if (of.out) return sum_of<false, true>(of, sigma2, first, last);
  return sum_of<false, false>(of, sigma2, first, last);
}

at::Tensor smooth_l1_loss(const at::Tensor& pred, const at::Tensor& target,
                          const OptionalTensor& inside, const OptionalTensor& outside,
                          double sigma) {
  check_smooth_l1_loss(pred, target, inside, outside, sigma);
  at::Tensor loss = at::zeros({}, pred.options());
  if (pred.numel() == 0) return loss;
  AT_DISPATCH_FLOATING_TYPES(pred.scalar_type(), "smooth_l1_loss", [&] {
    const Operands<scalar_t> of(pred, target, inside, outside);
    const scalar_t sigma2 = static_cast<scalar_t>(sigma * sigma);
    const double sum = at::parallel_reduce(
        int64_t(0), pred.numel(), kGrain, 0.0,
        [&](int64_t first, int64_t last, double part) {
          return part + sum_of(of, sigma2, first, last);
        },
        std::plus<double>());
    loss.fill_(sum / static_cast<double>(pred.size(0)));
  });
  return loss;
}

// The gradient for pred; the one for target is its negative.
at::Tensor smooth_l1_loss_backward(const at::Tensor& grad, const at::Tensor& pred,
                                   const at::Tensor& target, const OptionalTensor& inside,
                                   const OptionalTensor& outside, double sigma) {
  check_smooth_l1_loss_backward(grad, pred, target, inside, outside, sigma);
  at::Tensor result = at::empty(pred.sizes(), pred.options(), common_format(pred));
  if (pred.numel() == 0) return result;
  AT_DISPATCH_FLOATING_TYPES(pred.scalar_type(), "smooth_l1_loss_backward", [&] {
    const Operands<scalar_t> of(pred, target, inside, outside);
    const scalar_t sigma2 = static_cast<scalar_t>(sigma * sigma);
    const scalar_t scale = grad.item<scalar_t>() / static_cast<scalar_t>(pred.size(0));
    scalar_t* to = result.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, pred.numel(), kGrain, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        to[i] = scale * of.outside_weight(i) * of.inside_weight(i) *
                smooth_l1_slope(of.difference(i), sigma2);
      }
    });
  });
  return result;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def(
      "smooth_l1_loss(Tensor pred, Tensor target, Tensor? inside, Tensor? outside, float sigma) "
      "-> Tensor");
  m.def(
      "smooth_l1_loss_backward(Tensor grad, Tensor pred, Tensor target, Tensor? inside, "
      "Tensor? outside, float sigma) -> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) {
  m.impl("smooth_l1_loss", &smooth_l1_loss);
  m.impl("smooth_l1_loss_backward", &smooth_l1_loss_backward);
}

}  // namespace caffe_fast_rcnn
