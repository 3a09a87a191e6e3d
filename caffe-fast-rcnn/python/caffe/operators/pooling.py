"""Maxima of windows, without their places, and averages, in channels_last, on the CPU.

    if takes(x): top = max_pool(x, kernel, stride, pad, counts)

For passes that record no gradient: the places of the maxima cost PyTorch three quarters of the
time. The kernels are in src/caffe/layers/pooling.cpp; the numbers are PyTorch's.
"""
from collections.abc import Callable

import torch
from torch import Tensor

from caffe.operators.registration import are_compiled, raw, refuse_gradient

Pair = tuple[int, ...]      # along the height and the width


def takes(x: Tensor) -> bool:
    """Whether this is the way to the maxima or averages of x: (N, C, H, W), float32, of which
    nobody asks for the gradient, in channels_last, on the CPU."""
    return (are_compiled() and x.dim() == 4 and x.device.type == "cpu"
            and x.dtype == torch.float32 and not (x.requires_grad and torch.is_grad_enabled())
            and x.is_contiguous(memory_format=torch.channels_last))


def max_pool(x: Tensor, kernel: Pair, stride: Pair, pad: Pair, counts: Pair) -> Tensor:
    """The maxima of counts[0] x counts[1] windows, (N, C, *counts), channels_last.

    The first window begins `pad` pixels above and left of x. A window's part outside x does not
    count; a window that lies all outside gives -FLT_MAX, as in Caffe; NaN is larger than numbers.
    No gradient passes through it. ValueError: operands that do not fit.
    """
    return _below_autograd(raw.max_pool, x, kernel, stride, pad, counts)


def average_pool(x: Tensor, kernel: Pair, stride: Pair, pad: Pair, counts: Pair) -> Tensor:
    """The averages of windows that lie as those of `max_pool`, (N, C, *counts), channels_last.

    A window's sum is divided by the pixels that it has inside x with its padding, as in Caffe: 0
    where it lies all outside x, NaN (0 / 0) where it begins just behind the padding. No gradient
    passes through it. ValueError: operands that do not fit.
    """
    return _below_autograd(raw.average_pool, x, kernel, stride, pad, counts)


def _below_autograd(operator: Callable[..., Tensor], x: Tensor, *windows: Pair) -> Tensor:
    # torch.compile cannot trace the block below, and makes up its own way around autograd
    if torch.compiler.is_compiling() or (x.requires_grad and torch.is_grad_enabled()):
        return operator(x, *windows)
    with torch._C._AutoDispatchBelowAutograd():     # which saves half of a small map's time
        return operator(x, *windows)


@torch.library.register_fake("caffe_fast_rcnn::max_pool")
@torch.library.register_fake("caffe_fast_rcnn::average_pool")
def _(x, kernel, stride, pad, counts):
    return x.new_empty((x.shape[0], *counts, x.shape[1])).permute(0, 3, 1, 2)


refuse_gradient("max_pool", "torch.nn.functional.max_pool2d")
refuse_gradient("average_pool", "torch.nn.functional.avg_pool2d")
