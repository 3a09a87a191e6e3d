"""Convolution of maps of few channels, such as images, for test nets, on the CPU.

    weights = image_conv_pack(weight)                                       # once
    top = image_conv(x, weights, bias, stride=(2, 2), padding=(1, 1), low=0)

float32; the kernel is in src/caffe/layers/image_conv.cpp. Images are read as they are, planar, and
the result is channels_last. Every output is the same sum in the same order however many threads
there are.
"""
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.operators.registration import PANEL, are_compiled, raw, refuse_gradient

_MOST_CHANNELS = 4
_LEAST_ENTRIES = 12     # of a kernel: the numbers of an output's sum


class ImageWeights(NamedTuple):
    """Weights as image_conv reads them, (C * h * w, O rounded up to PANEL), how many outputs they
    have, and the kernel's height and width."""

    packed: Tensor
    out_channels: int
    kernel: tuple[int, int]


def image_conv_pack(weight: Tensor) -> ImageWeights:
    """Packs the weights (O, C, h, w), float32. ValueError: another shape."""
    if weight.dim() != 4:
        raise ValueError(f"image_conv_pack: weight must be (O, C, h, w), not {list(weight.shape)}")
    outputs, _, height, width = weight.shape
    entries = weight.detach().reshape(outputs, -1).t()
    return ImageWeights(F.pad(entries, (0, -outputs % PANEL)).contiguous(), outputs,
                        (height, width))


def image_conv(x: Tensor, weights: ImageWeights, bias: Tensor | None = None,
               stride: Sequence[int] = (1, 1), padding: Sequence[int] = (0, 0),
               low: float = -math.inf, high: float = math.inf) -> Tensor:
    """The convolution + bias, at least `low` and at most `high`.

    x: (N, C, H, W), copied if it is neither contiguous nor channels_last; bias: (O,); stride and
    padding: along the height and along the width. Returns (N, O, H', W') channels_last. No gradient
    passes through it. ValueError: operands that do not fit.
    """
    return raw.image_conv(x, *weights, bias, stride, padding, low, high)


def pays(channels: int, kernel: Sequence[int]) -> bool:
    """Whether this is the faster way than oneDNN's, which reads a copy in channels_last.

    Its time as a share of oneDNN's with the copy, on one core (AVX-512):

        kernel, stride      channels, outputs, map
        3 x 3, 2            3, 32, 224 x 224            0.7
        4 x 4, 2            3, 32, 224 x 224            0.8
        7 x 7, 2            3, 64 or 96, 224 x 224      0.9
        11 x 11, 4          3, 96, 227 x 227            0.9
        5 x 5, 1            1, 20, 28 x 28              0.4
        3 x 3, 1            3, 64, 224 x 224            0.9
                            3, 8 to 64, 64 x 64         0.8
                            3, 8 to 64, 300 x 400       0.8 to 1.0
                            1, 8 to 64, 300 x 400       0.8 to 1.1
        1 x 1, 1            1, 8 to 64, 300 x 400       1.2 to 1.7

    Sums of few products are bound by writing them, which oneDNN does as fast.
    """
    return (are_compiled() and channels <= _MOST_CHANNELS
            and channels * math.prod(kernel) >= _LEAST_ENTRIES)


@torch.library.register_fake("caffe_fast_rcnn::image_conv")
def _(x, packed, out_channels, kernel, bias, stride, padding, low, high):
    size = ((length + 2 * pad - side) // step + 1
            for length, pad, side, step in zip(x.shape[2:], padding, kernel, stride))
    return x.new_empty((x.shape[0], *size, out_channels)).permute(0, 3, 1, 2)


refuse_gradient("image_conv", "torch.nn.functional.conv2d")
