"""The gradients of plain operators: what src/caffe/layers/gradients.cpp is for compiled ones."""
from collections.abc import Callable

import torch

raw = torch.ops.caffe_fast_rcnn


def register() -> None:
    """Tells autograd which operators compute the gradients of which, and that none has a second
    derivative."""
    for name, (context, backward) in GRADIENTS.items():
        torch.library.register_autograd(f"caffe_fast_rcnn::{name}", backward,
                                        setup_context=context)
        torch.library.register_autograd(f"caffe_fast_rcnn::{name}_backward",
                                        _refuse_second_derivative(name))
    torch.library.register_autograd("caffe_fast_rcnn::roi_align_rois_backward",
                                    _refuse_second_derivative("roi_align"))


def _refuse_second_derivative(name: str) -> Callable:
    def backward(ctx, *grads):
        raise RuntimeError(f"caffe.ops.{name} has no second derivative; its gradient cannot be "
                           "differentiated again (create_graph=True)")
    return backward


def _roi_pool_context(ctx, inputs, output):
    features, rois, _, _, ctx.spatial_scale, _ = inputs
    ctx.feature_shape = features.shape
    ctx.save_for_backward(rois, output[1])


def _roi_pool_backward(ctx, grad, _):
    return raw.roi_pool_backward(grad, *ctx.saved_tensors, ctx.feature_shape,
                                 ctx.spatial_scale), *[None] * 5


def _roi_align_context(ctx, inputs, output):
    features, rois = inputs[:2]
    ctx.feature_shape, ctx.options = features.shape, inputs[4:]
    ctx.save_for_backward(rois, features if ctx.needs_input_grad[1] else None)


def _roi_align_backward(ctx, grad):
    rois, features = ctx.saved_tensors
    for_features = for_rois = None
    if ctx.needs_input_grad[0]:
        for_features = raw.roi_align_backward(grad, rois, ctx.feature_shape, *ctx.options)
    if ctx.needs_input_grad[1]:
        for_rois = raw.roi_align_rois_backward(grad, features, rois, *ctx.options)
    return for_features, for_rois, *[None] * 5


def _psroi_pool_context(ctx, inputs, output):
    features, rois, _, _, ctx.spatial_scale = inputs
    ctx.feature_shape = features.shape
    ctx.save_for_backward(rois)


def _psroi_pool_backward(ctx, grad):
    return raw.psroi_pool_backward(grad, *ctx.saved_tensors, ctx.feature_shape,
                                   ctx.spatial_scale), *[None] * 4


def _smooth_l1_context(ctx, inputs, output):
    ctx.sigma = inputs[4]
    ctx.save_for_backward(*inputs[:4])


def _smooth_l1_backward(ctx, grad):
    pred = raw.smooth_l1_loss_backward(grad, *ctx.saved_tensors, ctx.sigma)
    return pred, -pred if ctx.needs_input_grad[1] else None, None, None, None


def _lrn_context(ctx, inputs, output):
    ctx.formula = inputs[1:]
    ctx.save_for_backward(inputs[0])


def _lrn_across_backward(ctx, grad):
    return raw.lrn_across_backward(grad, *ctx.saved_tensors, *ctx.formula), *[None] * 4


def _lrn_within_backward(ctx, grad):
    return raw.lrn_within_backward(grad, *ctx.saved_tensors, *ctx.formula), *[None] * 3


GRADIENTS = {
    "roi_pool": (_roi_pool_context, _roi_pool_backward),
    "roi_align": (_roi_align_context, _roi_align_backward),
    "psroi_pool": (_psroi_pool_context, _psroi_pool_backward),
    "smooth_l1_loss": (_smooth_l1_context, _smooth_l1_backward),
    "lrn_across": (_lrn_context, _lrn_across_backward),
    "lrn_within": (_lrn_context, _lrn_within_backward),
}
