// What autograd must know of the operators: which of them computes the gradient of which, and that
// none has a second derivative. In C++, since a call through Python costs 0.02 ms more, several
// times what small operands cost. operators/plain_gradients.py is the same for plain operators.
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <functional>
#include <string>
#include <tuple>
#include <vector>

#include "checks.h"

namespace caffe_fast_rcnn {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// An operator by its name, as the dispatcher knows it: op<name, signature>().call(operands...).
template <const char* kName, typename Signature>
const c10::TypedOperatorHandle<Signature>& op() {
  static const auto found =
      c10::Dispatcher::singleton().findSchemaOrThrow(kName, "").typed<Signature>();
  return found;
}

bool learns(const Tensor& operand) { return operand.requires_grad(); }
bool learns(const OptionalTensor& operand) { return operand && operand->requires_grad(); }
template <typename Number>
bool learns(const Number&) {
  return false;
}

// Runs an operator: with the gradient that Gradient knows, where one of its operands learns.
template <typename Gradient, typename... Operands>
Tensor recorded(Operands... operands) {
  if (at::GradMode::is_enabled() && (learns(operands) || ...)) return Gradient::apply(operands...);
  const at::AutoDispatchBelowADInplaceOrView below;
  return Gradient::run(operands...);
}

// `recorded` with the operands of Gradient::run.
template <typename Gradient, typename... Operands>
auto recorder(Tensor (*)(Operands...)) -> Tensor (*)(Operands...) {
  return &recorded<Gradient, Operands...>;
}

OptionalTensor optional(const Tensor& saved) {
  return saved.defined() ? OptionalTensor(saved) : std::nullopt;
}

constexpr char kRoiPool[] = "caffe_fast_rcnn::roi_pool";
constexpr char kRoiPoolBackward[] = "caffe_fast_rcnn::roi_pool_backward";
constexpr char kRoiAlign[] = "caffe_fast_rcnn::roi_align";
constexpr char kRoiAlignBackward[] = "caffe_fast_rcnn::roi_align_backward";
constexpr char kRoiAlignRoisBackward[] = "caffe_fast_rcnn::roi_align_rois_backward";
constexpr char kPsroiPool[] = "caffe_fast_rcnn::psroi_pool";
constexpr char kPsroiPoolBackward[] = "caffe_fast_rcnn::psroi_pool_backward";
constexpr char kSmoothL1[] = "caffe_fast_rcnn::smooth_l1_loss";
constexpr char kSmoothL1Backward[] = "caffe_fast_rcnn::smooth_l1_loss_backward";
constexpr char kLrnAcross[] = "caffe_fast_rcnn::lrn_across";
constexpr char kLrnAcrossBackward[] = "caffe_fast_rcnn::lrn_across_backward";
constexpr char kLrnWithin[] = "caffe_fast_rcnn::lrn_within";
constexpr char kLrnWithinBackward[] = "caffe_fast_rcnn::lrn_within_backward";

// ------------------------------------------------------------------------------------- gradients

struct RoiPool : torch::autograd::Function<RoiPool> {
  static std::tuple<Tensor, Tensor> run(const Tensor& features, const Tensor& rois, int64_t pooled_h,
                                        int64_t pooled_w, double scale, bool with_argmax) {
    return op<kRoiPool, decltype(run)>().call(features, rois, pooled_h, pooled_w, scale,
                                              with_argmax);
  }

  static variable_list forward(AutogradContext* context, const Tensor& features,
                               const Tensor& rois, int64_t pooled_h, int64_t pooled_w,
                               double scale, bool with_argmax) {
    const at::AutoDispatchBelowADInplaceOrView below;
    const auto [pooled, argmax] = run(features, rois, pooled_h, pooled_w, scale, with_argmax);
    context->save_for_backward({rois, argmax});
    context->mark_non_differentiable({argmax});
    context->set_materialize_grads(false);    // zeros for argmax would be in vain
    context->saved_data["shape"] = features.sym_sizes();
    context->saved_data["scale"] = scale;
    return {pooled, argmax};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    if (!grads[0].defined()) return variable_list(6);
    const variable_list saved = context->get_saved_variables();
    const auto shape = context->saved_data["shape"].toSymIntVector();
    const Tensor gradient =
        op<kRoiPoolBackward, Tensor(const Tensor&, const Tensor&, const Tensor&,
                                    c10::SymIntArrayRef, double)>()
            .call(grads[0], saved[0], saved[1], shape, context->saved_data["scale"].toDouble());
    return {gradient, {}, {}, {}, {}, {}};
  }
};

// The tuple of the operator instead of the list of its Function.
std::tuple<Tensor, Tensor> roi_pool(const Tensor& features, const Tensor& rois, int64_t pooled_h,
                                    int64_t pooled_w, double scale, bool with_argmax) {
  if (at::GradMode::is_enabled() && (learns(features) || learns(rois))) {
    const variable_list tops =
        RoiPool::apply(features, rois, pooled_h, pooled_w, scale, with_argmax);
    return {tops[0], tops[1]};
  }
  const at::AutoDispatchBelowADInplaceOrView below;
  return RoiPool::run(features, rois, pooled_h, pooled_w, scale, with_argmax);
}

struct RoiAlign : torch::autograd::Function<RoiAlign> {
  static Tensor run(const Tensor& features, const Tensor& rois, int64_t pooled_h, int64_t pooled_w,
                    double scale, int64_t sampling_ratio, bool aligned) {
    return op<kRoiAlign, decltype(run)>().call(features, rois, pooled_h, pooled_w, scale,
                                               sampling_ratio, aligned);
  }

  static Tensor forward(AutogradContext* context, const Tensor& features, const Tensor& rois,
                        int64_t pooled_h, int64_t pooled_w, double scale, int64_t sampling_ratio,
                        bool aligned) {
    const at::AutoDispatchBelowADInplaceOrView below;
    // only the gradient for the rois looks at the features
    context->save_for_backward({rois, learns(rois) ? features : Tensor()});
    context->saved_data["shape"] = features.sym_sizes();
    context->saved_data["scale"] = scale;
    context->saved_data["sampling_ratio"] = sampling_ratio;
    context->saved_data["aligned"] = aligned;
    return run(features, rois, pooled_h, pooled_w, scale, sampling_ratio, aligned);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &rois = saved[0], &features = saved[1];
    const double scale = context->saved_data["scale"].toDouble();
    const int64_t sampling_ratio = context->saved_data["sampling_ratio"].toInt();
    const bool aligned = context->saved_data["aligned"].toBool();
    Tensor for_features, for_rois;
    if (context->needs_input_grad(0)) {
      const auto shape = context->saved_data["shape"].toSymIntVector();
      for_features = op<kRoiAlignBackward, Tensor(const Tensor&, const Tensor&,
                                                  c10::SymIntArrayRef, double, int64_t, bool)>()
                         .call(grads[0], rois, shape, scale, sampling_ratio, aligned);
    }
    if (context->needs_input_grad(1)) {
      for_rois = op<kRoiAlignRoisBackward, Tensor(const Tensor&, const Tensor&, const Tensor&,
                                                  double, int64_t, bool)>()
                     .call(grads[0], features, rois, scale, sampling_ratio, aligned);
    }
    return {for_features, for_rois, {}, {}, {}, {}, {}};
  }
};

struct PsroiPool : torch::autograd::Function<PsroiPool> {
  static Tensor run(const Tensor& features, const Tensor& rois, int64_t output_dim,
                    int64_t group_size, double scale) {
    return op<kPsroiPool, decltype(run)>().call(features, rois, output_dim, group_size, scale);
  }

  static Tensor forward(AutogradContext* context, const Tensor& features, const Tensor& rois,
                        int64_t output_dim, int64_t group_size, double scale) {
    const at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({rois});
    context->saved_data["shape"] = features.sym_sizes();
    context->saved_data["scale"] = scale;
    return run(features, rois, output_dim, group_size, scale);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto shape = context->saved_data["shape"].toSymIntVector();
    const Tensor gradient =
        op<kPsroiPoolBackward, Tensor(const Tensor&, const Tensor&, c10::SymIntArrayRef, double)>()
            .call(grads[0], context->get_saved_variables()[0], shape,
                  context->saved_data["scale"].toDouble());
    return {gradient, {}, {}, {}, {}};
  }
};

struct SmoothL1 : torch::autograd::Function<SmoothL1> {
  static Tensor run(const Tensor& pred, const Tensor& target, const OptionalTensor& inside,
                    const OptionalTensor& outside, double sigma) {
    return op<kSmoothL1, decltype(run)>().call(pred, target, inside, outside, sigma);
  }

  static Tensor forward(AutogradContext* context, const Tensor& pred, const Tensor& target,
                        const OptionalTensor& inside, const OptionalTensor& outside,
                        double sigma) {
    const at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward(
        {pred, target, inside.value_or(Tensor()), outside.value_or(Tensor())});
    context->saved_data["sigma"] = sigma;
    return run(pred, target, inside, outside, sigma);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const variable_list saved = context->get_saved_variables();
    const Tensor for_pred =
        op<kSmoothL1Backward, Tensor(const Tensor&, const Tensor&, const Tensor&,
                                     const OptionalTensor&, const OptionalTensor&, double)>()
            .call(grads[0], saved[0], saved[1], optional(saved[2]), optional(saved[3]),
                  context->saved_data["sigma"].toDouble());
    return {for_pred, context->needs_input_grad(1) ? -for_pred : Tensor(), {}, {}, {}};
  }
};

struct LrnAcross : torch::autograd::Function<LrnAcross> {
  static Tensor run(const Tensor& x, int64_t size, double alpha, double beta, double k) {
    return op<kLrnAcross, decltype(run)>().call(x, size, alpha, beta, k);
  }

  static Tensor forward(AutogradContext* context, const Tensor& x, int64_t size, double alpha,
                        double beta, double k) {
    const at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({x});
    context->saved_data["size"] = size;
    context->saved_data["numbers"] = std::vector<double>{alpha, beta, k};
    return run(x, size, alpha, beta, k);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto numbers = context->saved_data["numbers"].toDoubleVector();
    const Tensor gradient =
        op<kLrnAcrossBackward, Tensor(const Tensor&, const Tensor&, int64_t, double, double,
                                      double)>()
            .call(grads[0], context->get_saved_variables()[0], context->saved_data["size"].toInt(),
                  numbers[0], numbers[1], numbers[2]);
    return {gradient, {}, {}, {}, {}};
  }
};

struct LrnWithin : torch::autograd::Function<LrnWithin> {
  static Tensor run(const Tensor& x, int64_t size, double alpha, double beta) {
    return op<kLrnWithin, decltype(run)>().call(x, size, alpha, beta);
  }

  static Tensor forward(AutogradContext* context, const Tensor& x, int64_t size, double alpha,
                        double beta) {
    const at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({x});
    context->saved_data["size"] = size;
    context->saved_data["numbers"] = std::vector<double>{alpha, beta};
    return run(x, size, alpha, beta);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto numbers = context->saved_data["numbers"].toDoubleVector();
    const Tensor gradient =
        op<kLrnWithinBackward, Tensor(const Tensor&, const Tensor&, int64_t, double, double)>()
            .call(grads[0], context->get_saved_variables()[0], context->saved_data["size"].toInt(),
                  numbers[0], numbers[1]);
    return {gradient, {}, {}, {}};
  }
};

// ----------------------------------------------------------------------------- no second ones

// A gradient that refuses to be differentiated again; `compute` makes it of the operands.
struct Once : torch::autograd::Function<Once> {
  static Tensor forward(AutogradContext* context, at::TensorList operands, const std::string& name,
                        const std::function<Tensor()>& compute) {
    context->saved_data["name"] = name;
    return compute();
  }

  static variable_list backward(AutogradContext* context, const variable_list&) {
    TORCH_CHECK(false, "caffe.ops.", context->saved_data["name"].toStringRef(),
                " has no second derivative; its gradient cannot be differentiated again "
                "(create_graph=True)");
  }
};

// The operator whose gradient "caffe_fast_rcnn::<operator>[_rois]_backward" computes.
std::string differentiated(const std::string& backward) {
  std::string name = backward.substr(backward.find("::") + 2);
  for (const char* ending : {"_backward", "_rois"}) {
    const size_t at = name.rfind(ending);
    if (at != std::string::npos) name.erase(at);
  }
  return name;
}

// Of every operator that computes a gradient: one tensor, of the operands on the stack.
void once(const c10::OperatorHandle& handle, c10::DispatchKeySet, torch::jit::Stack* stack) {
  const size_t count = handle.schema().arguments().size();
  std::vector<Tensor> operands;
  bool learn = false;
  for (const c10::IValue& value : torch::jit::last(*stack, count)) {
    if (!value.isTensor() || !value.toTensor().defined()) continue;
    operands.push_back(value.toTensor());
    learn = learn || operands.back().requires_grad();
  }
  const auto compute = [&] {
    const at::AutoDispatchBelowADInplaceOrView below;
    handle.callBoxed(stack);
    return torch::jit::pop(*stack).toTensor();
  };
  torch::jit::push(*stack, at::GradMode::is_enabled() && learn
                               ? Once::apply(at::TensorList(operands),
                                             differentiated(handle.schema().name()),
                                             std::function<Tensor()>(compute))
                               : compute());
}

}  // namespace

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, Autograd, m) {
  m.impl("roi_pool", &roi_pool);
  m.impl("roi_align", recorder<RoiAlign>(&RoiAlign::run));
  m.impl("psroi_pool", recorder<PsroiPool>(&PsroiPool::run));
  m.impl("smooth_l1_loss", recorder<SmoothL1>(&SmoothL1::run));
  m.impl("lrn_across", recorder<LrnAcross>(&LrnAcross::run));
  m.impl("lrn_within", recorder<LrnWithin>(&LrnWithin::run));
  for (const char* name :
       {"roi_pool_backward", "roi_align_backward", "roi_align_rois_backward", "psroi_pool_backward",
        "smooth_l1_loss_backward", "lrn_across_backward", "lrn_within_backward"}) {
    m.impl(name, torch::CppFunction::makeFromBoxedFunction<&once>());
  }
}

}  // namespace caffe_fast_rcnn
