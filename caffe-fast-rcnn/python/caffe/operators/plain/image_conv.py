"""The convolution of maps of few channels with packed weights, by PyTorch's own."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.operators.plain import checks


def image_conv(x: Tensor, packed: Tensor, out_channels: int, kernel: Sequence[int],
               bias: Tensor | None, stride: Sequence[int], padding: Sequence[int], low: float,
               high: float) -> Tensor:
    op = "image_conv"
    for name, operand, axes in (("x", x, 4), ("packed", packed, 2), ("bias", bias, 1)):
        checks.check_operand(op, name, operand, axes)
    for name, numbers, least in (("kernel", kernel, 1), ("stride", stride, 1),
                                 ("padding", padding, 0)):
        checks.require(len(numbers) == 2 and min(numbers) >= least,
                       f"{op}: {name} must be two numbers of at least {least}, not {list(numbers)}")
    (height, width), channels = kernel, x.shape[1]
    checks.require(x.shape[2] + 2 * padding[0] >= height and x.shape[3] + 2 * padding[1] >= width,
                   f"{op}: the kernel {list(kernel)} does not fit into x {checks.sizes(x)} with "
                   f"padding {list(padding)}")
    checks.require(len(packed) == channels * height * width
                   and 0 < out_channels <= packed.shape[1],
                   f"{op}: packed must come from image_conv_pack for {channels} channels, "
                   f"{out_channels} outputs and the kernel {list(kernel)}, not be "
                   f"{checks.sizes(packed)}")
    checks.require(bias is None or bias.shape == (out_channels,),
                   f"{op}: bias must be ({out_channels},)")
    weight = packed[:, :out_channels].t().reshape(out_channels, channels, height, width)
    top = F.conv2d(x, weight, bias, list(stride), list(padding))
    return top.clamp(low, high).contiguous(memory_format=torch.channels_last)
