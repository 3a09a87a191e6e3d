"""Convolution with a kernel of 1 x 1 and packed weights, for test nets, on the CPU.

    weights = pointwise_pack(weight)                            # once
    top = pointwise_conv(x, weights, bias, low=0, high=6)       # bias, sum, limits on the way out

float32, to which maps of bfloat16 or half are converted and back; the kernel in
src/caffe/layers/pointwise.cpp multiplies as Winograd's does. Every output is the same sum in the
same order however many threads there are.
"""
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.operators.halves import widened
from caffe.operators.registration import PANEL, are_compiled, raw, refuse_gradient

_LANES = PANEL // 2     # numbers in one of the processor's vectors


class PointwiseWeights(NamedTuple):
    """Weights as pointwise_conv reads them, (panels, C, PANEL), and how many outputs they have."""

    packed: Tensor
    out_channels: int


def pointwise_pack(weight: Tensor) -> PointwiseWeights:
    """Packs the weights (O, C, 1, 1) as float32. ValueError: another shape."""
    if weight.dim() != 4 or weight.shape[2:] != (1, 1):
        raise ValueError(f"pointwise_pack: weight must be (O, C, 1, 1), not {list(weight.shape)}")
    outputs, channels = weight.shape[:2]
    panels = -(-outputs // PANEL)
    flat = widened(weight.detach()).reshape(outputs, channels)
    rows = F.pad(flat, (0, 0, 0, panels * PANEL - outputs))
    packed = rows.view(panels, PANEL, channels).transpose(1, 2).contiguous()
    return PointwiseWeights(packed, outputs)


def pointwise_conv(x: Tensor, weights: PointwiseWeights, bias: Tensor | None = None,
                   residual: Tensor | None = None, low: float = -math.inf,
                   high: float = math.inf, out: Tensor | None = None) -> Tensor:
    """The convolution + bias (+ residual), at least `low` and at most `high`.

    x:        (N, C, H, W); channels_last, or a slice of such a tensor's channels, is not copied
    bias:     (O,); residual: (N, O, H, W)
    out:      float32, takes the result, channels_last or a slice of such a tensor's channels; it
              may be the residual, but share no memory with x
    returns   (N, O, H, W) channels_last, or `out`

    No gradient passes through it. ValueError: operands that do not fit.
    """
    bias, residual = (None if addend is None else widened(addend) for addend in (bias, residual))
    if out is not None:
        raw.pointwise_conv_out(widened(x), weights.packed, weights.out_channels, bias, residual,
                               low, high, out)
        return out
    return raw.pointwise_conv(widened(x), weights.packed, weights.out_channels, bias, residual, low,
                              high).to(x.dtype)


def pays(outputs: int) -> bool:
    """Whether this is the faster way than oneDNN's, measured on one core (AVX-512).

    It saves the 20 us that oneDNN takes to begin, which shows on small maps, and is as fast in the
    products; but outputs that leave a vector half empty are computed all the same.
    """
    return are_compiled() and 4 * outputs >= 3 * _LANES * -(-outputs // _LANES)


@torch.library.register_fake("caffe_fast_rcnn::pointwise_conv")
def _(x, packed, out_channels, bias, residual, low, high):
    return x.new_empty((x.shape[0], *x.shape[2:], out_channels)).permute(0, 3, 1, 2)


@torch.library.register_fake("caffe_fast_rcnn::pointwise_conv_out")
def _(x, packed, out_channels, bias, residual, low, high, out):
    return None


refuse_gradient("pointwise_conv", "torch.nn.functional.conv2d")
