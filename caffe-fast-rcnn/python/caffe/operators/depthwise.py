"""Depthwise convolution, 3 x 3 or 5 x 5 with stride 1 or 2, for test nets, on the CPU.

    weights = depthwise_pack(weight)                                        # once
    top = depthwise_conv(x, weights, bias, stride=2, padding=1, low=0, high=6)

float32; the kernel is in src/caffe/layers/depthwise.cpp. Every output is the same sum in the same
order however many threads there are.
"""
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from caffe.operators.registration import PANEL, are_compiled, raw, refuse_gradient

_LANES = PANEL // 2     # numbers in one of the processor's vectors


class DepthwiseWeights(NamedTuple):
    """Weights as depthwise_conv reads them, (kernel^2, C), and the kernel's side."""

    packed: Tensor
    kernel: int


def depthwise_pack(weight: Tensor) -> DepthwiseWeights:
    """Packs the weights (C, 1, k, k), float32, k = 3 or 5. ValueError: another shape."""
    kernel = weight.shape[-1]
    if weight.dim() != 4 or weight.shape[1:] != (1, kernel, kernel) or kernel not in (3, 5):
        raise ValueError("depthwise_pack: weight must be (C, 1, 3, 3) or (C, 1, 5, 5), not "
                         f"{list(weight.shape)}")
    return DepthwiseWeights(weight.detach().reshape(len(weight), -1).t().contiguous(), kernel)


def depthwise_conv(x: Tensor, weights: DepthwiseWeights, bias: Tensor | None = None,
                   stride: int = 1, padding: Sequence[int] = (0, 0), low: float = -math.inf,
                   high: float = math.inf) -> Tensor:
    """The convolution of every channel by itself + bias, at least `low` and at most `high`.

    x: (N, C, H, W), copied if it is not channels_last; bias: (C,); stride: 1 or 2; padding: pixels
    above and below, left and right. Returns (N, C, H', W') channels_last. No gradient passes
    through it. ValueError: operands that do not fit.
    """
    pad_h, pad_w = padding
    return raw.depthwise_conv(x, *weights, bias, stride, pad_h, pad_w, low, high)


def pays(channels: int) -> bool:
    """Whether this is the faster way than oneDNN's.

    Its time as a share of oneDNN's, on one core (AVX-512):

        channels, map     stride 1    stride 2      channels, map     stride 1    stride 2
        24, 30 x 30       0.5                       5 x 5:
        32, 112 x 112     1.0         0.9           20, 40 x 40                   0.5
        128, 56 x 56      0.9         0.6           240, 28 x 28      0.9
        256, 28 x 28      0.7         0.5           480, 14 x 14      0.8
        512, 14 x 14      0.5         0.5           672, 14 x 14                  0.5
        1024, 7 x 7       0.5                       1152, 7 x 7       0.6

    Fewer channels than a vector has numbers are slow.
    """
    return are_compiled() and channels >= _LANES


@torch.library.register_fake("caffe_fast_rcnn::depthwise_conv")
def _(x, weights, kernel, bias, stride, pad_h, pad_w, low, high):
    size = ((length + 2 * pad - kernel) // stride + 1
            for length, pad in zip(x.shape[2:], (pad_h, pad_w)))
    return x.new_empty((x.shape[0], *size, x.shape[1])).permute(0, 3, 1, 2)


refuse_gradient("depthwise_conv", "torch.nn.functional.conv2d")
