"""The operators, `raw`, with what PyTorch must know of each besides its kernels.

That is its shape on the meta device; its gradient is told beside its kernels
(src/caffe/layers/gradients.cpp, plain/gradients.py). The functions to call are in ops.py.

The kernels are the compiled ones, or, where they cannot be compiled, plain PyTorch operations (with
one warning). $CAFFE_OPERATORS says otherwise: `compiled` makes it an error, `plain` takes the plain
ones in any case.
"""
import logging
import os

import torch

from caffe.operators import build
from caffe.operators.plain import gradients as plain_gradients
from caffe.operators.plain import library as plain
from caffe.operators.plain.checks import require

logger = logging.getLogger("caffe.operators")
CHOICE = os.environ.get("CAFFE_OPERATORS", "")
raw = torch.ops.caffe_fast_rcnn


def _load() -> list[torch.library.Library]:
    """Loads the compiled operators or defines the plain ones; what keeps these alive."""
    if CHOICE not in ("", "compiled", "plain"):
        raise ImportError(f'$CAFFE_OPERATORS is "{CHOICE}", neither "compiled" nor "plain"')
    if CHOICE == "plain":
        return [plain.define()]
    try:
        torch.ops.load_library(build.build())
        return []
    except build.BuildError as error:
        if CHOICE == "compiled":
            raise ImportError(f"caffe.ops: {error}") from None
        logger.warning("caffe.ops: %s. Plain PyTorch operations take the operators' place, which "
                       "are slower.", str(error).rstrip("."))
        return [plain.define()]


_libraries = _load()


def are_compiled() -> bool:
    """Whether the CPU's kernels are the compiled ones."""
    return not any(library.kind == "FRAGMENT" for library in _libraries)


if not are_compiled():
    plain_gradients.register()

# Outputs that are packed side by side, which depends on the processor; plain kernels pack nothing.
PANEL = raw.winograd_pack(torch.zeros(1, 1, 3, 3), 2, False).shape[3] if are_compiled() else 16


def has_cuda_kernels() -> bool:
    """Whether the operators run on CUDA: by kernels of their own, or by the plain ones."""
    return torch._C._dispatch_has_kernel_for_dispatch_key("caffe_fast_rcnn::nms", "CUDA")


def why_no_cuda_kernels() -> str:
    """What stands in the way of building them."""
    return build.find_nvcc()[1] or "they were built where there was no nvcc"


def lend_plain_kernels_to_cuda() -> None:
    """Gives the operators that have no CUDA kernels the plain ones; warns once that it does."""
    logger.warning("the operators have no CUDA kernels (%s): plain PyTorch operations take their "
                   "place on the GPU, which are slower; put that right and run `make`",
                   why_no_cuda_kernels())
    _libraries.append(plain.lend_to_cuda())


# Shapes on the meta device: for finding the top shapes of a net and for torch.compile.

def _require_regions(op: str, features: torch.Tensor, rois: torch.Tensor) -> None:
    require(features.dim() == 4,
             f"{op}: features must be (N, C, H, W), not {list(features.shape)}")
    require(rois.dim() == 2 and rois.shape[1] == 5,
             f"{op}: rois must be (R, 5): batch index, x1, y1, x2, y2; not {list(rois.shape)}")


@torch.library.register_fake("caffe_fast_rcnn::roi_pool")
def _(features, rois, pooled_h, pooled_w, spatial_scale, with_argmax):
    _require_regions("roi_pool", features, rois)
    pooled = features.new_empty((rois.shape[0], features.shape[1], pooled_h, pooled_w))
    return pooled, features.new_empty(pooled.shape if with_argmax else (0,), dtype=torch.int32)


@torch.library.register_fake("caffe_fast_rcnn::roi_pool_backward")
def _(grad, rois, argmax, feature_shape, spatial_scale):
    return grad.new_empty(feature_shape)


@torch.library.register_fake("caffe_fast_rcnn::roi_align")
def _(features, rois, pooled_h, pooled_w, spatial_scale, sampling_ratio, aligned):
    _require_regions("roi_align", features, rois)
    return features.new_empty((rois.shape[0], features.shape[1], pooled_h, pooled_w))


@torch.library.register_fake("caffe_fast_rcnn::roi_align_backward")
def _(grad, rois, feature_shape, spatial_scale, sampling_ratio, aligned):
    return _channels_last(grad.new_empty(feature_shape))


@torch.library.register_fake("caffe_fast_rcnn::roi_align_rois_backward")
def _(grad, features, rois, spatial_scale, sampling_ratio, aligned):
    return rois.new_empty(rois.shape)


@torch.library.register_fake("caffe_fast_rcnn::psroi_pool")
def _(features, rois, output_dim, group_size, spatial_scale):
    _require_regions("psroi_pool", features, rois)
    require(output_dim > 0 and features.shape[1] == output_dim * group_size ** 2,
             f"psroi_pool: features must have output_dim * group_size^2 = {output_dim} * "
             f"{group_size}^2 channels, not {list(features.shape)}")
    return features.new_empty((rois.shape[0], output_dim, group_size, group_size))


@torch.library.register_fake("caffe_fast_rcnn::psroi_pool_backward")
def _(grad, rois, feature_shape, spatial_scale):
    return grad.new_empty(feature_shape)


@torch.library.register_fake("caffe_fast_rcnn::smooth_l1_loss")
def _(pred, target, inside, outside, sigma):
    for name, operand in (("target", target), ("inside", inside), ("outside", outside)):
        require(operand is None or operand.shape == pred.shape,
                 f"smooth_l1_loss: {name} is {operand is not None and list(operand.shape)}, "
                 f"pred is {list(pred.shape)}")
    return pred.new_empty(())


@torch.library.register_fake("caffe_fast_rcnn::smooth_l1_loss_backward")
def _(grad, pred, target, inside, outside, sigma):
    return torch.empty_like(pred, memory_format=_common_format(pred))


@torch.library.register_fake("caffe_fast_rcnn::nms")
def _(boxes, scores, groups, thresh, inclusive, max_keep):
    return boxes.new_empty(torch.library.get_ctx().new_dynamic_size(), dtype=torch.int64)


@torch.library.register_fake("caffe_fast_rcnn::soft_nms")
def _(boxes, scores, groups, gaussian, thresh, sigma, score_thresh):
    count = torch.library.get_ctx().new_dynamic_size()
    return boxes.new_empty(count, dtype=torch.int64), scores.new_empty(count)


@torch.library.register_fake("caffe_fast_rcnn::lrn_across")
def _(x, size, alpha, beta, k):
    require(x.dim() >= 2, f"lrn_across: x must be (N, C, ...), not {list(x.shape)}")
    require(size > 0 and size % 2 == 1, f"lrn_across: size must be odd, not {size}")
    return _channels_last(x)


@torch.library.register_fake("caffe_fast_rcnn::lrn_across_backward")
def _(grad, x, size, alpha, beta, k):
    return _channels_last(x)


@torch.library.register_fake("caffe_fast_rcnn::lrn_within")
def _(x, size, alpha, beta):
    require(x.dim() == 4, f"lrn_within: x must be (N, C, H, W), not {list(x.shape)}")
    return _channels_last(x)


@torch.library.register_fake("caffe_fast_rcnn::lrn_within_backward")
def _(grad, x, size, alpha, beta):
    return _channels_last(x)


@torch.library.register_fake("caffe_fast_rcnn::depthwise_kernel_gradient")
def _(grad, x, kernel, stride, pad):
    return x.new_empty((x.shape[1], 1, *kernel))


@torch.library.register_fake("caffe_fast_rcnn::sgd_update_")
def _(weight, grad, history, lr, momentum, decay):
    return None


def _channels_last(x: torch.Tensor) -> torch.Tensor:
    rows = x.movedim(1, -1)
    return x.new_empty(rows.shape).movedim(-1, 1)


def _common_format(x: torch.Tensor) -> torch.memory_format:
    channels_last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format


# Under torch.autocast: all in float32, as losses, boxes and what is added up must be. Products are
# autocast's own; the convolutions here (winograd.py, pointwise.py) keep the type they are given.

for _name in ("roi_pool", "roi_align", "psroi_pool", "smooth_l1_loss", "lrn_across", "lrn_within",
              "nms", "soft_nms"):
    for _device in ("cpu", "cuda"):
        torch.library.register_autocast(f"caffe_fast_rcnn::{_name}", _device, torch.float32)


def refuse_gradient(name: str, instead: str) -> None:
    """Gradients through operator `name` are a RuntimeError, which says what to use `instead`."""
    def backward(ctx: object, *grads: torch.Tensor) -> None:
        raise RuntimeError(f"caffe.ops.{name} passes no gradient; use {instead}")
    torch.library.register_autograd(f"caffe_fast_rcnn::{name}", backward)
