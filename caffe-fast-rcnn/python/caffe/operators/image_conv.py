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


def pays(channels: int) -> bool:
    """Whether this is the faster way than oneDNN's.

    TABLE
    """
    return are_compiled() and channels <= _MOST_CHANNELS


@torch.library.register_fake("caffe_fast_rcnn::image_conv")
def _(x, packed, out_channels, kernel, bias, stride, padding, low, high):
    size = ((length + 2 * pad - side) // step + 1
            for length, pad, side, step in zip(x.shape[2:], padding, kernel, stride))
    return x.new_empty((x.shape[0], *size, out_channels)).permute(0, 3, 1, 2)


refuse_gradient("image_conv", "torch.nn.functional.conv2d")
