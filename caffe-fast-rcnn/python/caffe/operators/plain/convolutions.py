"""Convolutions with packed weights of a kind, by PyTorch's own: of 1 x 1, depthwise, of images."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.operators.plain import checks


def pointwise_conv(x: Tensor, packed: Tensor, out_channels: int, bias: Tensor | None,
                   residual: Tensor | None, low: float, high: float) -> Tensor:
    op = "pointwise_conv"
    for name, operand in (("x", x), ("packed", packed), ("bias", bias), ("residual", residual)):
        checks.require(operand is None or operand.dtype == torch.float32,
                       f"{op}: {name} must be float32")
    checks.require(x.dim() == 4, f"{op}: x must be (N, C, H, W), not {checks.sizes(x)}")
    checks.require(packed.dim() == 3 and packed.shape[1] == x.shape[1]
                   and 0 < out_channels <= packed.shape[0] * packed.shape[2],
                   f"{op}: packed must come from pointwise_pack for {x.shape[1]} channels and "
                   f"{out_channels} outputs, not be {checks.sizes(packed)}")
    checks.require(bias is None or bias.shape == (out_channels,),
                   f"{op}: bias must be ({out_channels},)")
    weight = packed.transpose(1, 2).reshape(-1, x.shape[1])[:out_channels, :, None, None]
    top = F.conv2d(x, weight, bias)
    if residual is not None:
        checks.require(residual.shape == top.shape, f"{op}: residual must be {checks.sizes(top)}, "
                       f"not {checks.sizes(residual)}")
        top = top + residual
    return top.clamp(low, high).contiguous(memory_format=torch.channels_last)


def pointwise_conv_out(x: Tensor, packed: Tensor, out_channels: int, bias: Tensor | None,
                       residual: Tensor | None, low: float, high: float, out: Tensor) -> None:
    top = pointwise_conv(x, packed, out_channels, bias, residual, low, high)
    checks.check_out("pointwise_conv", out, top, x)
    out.copy_(top)


def depthwise_conv(x: Tensor, weights: Tensor, kernel: int, bias: Tensor | None, stride: int,
                   pad_h: int, pad_w: int, low: float, high: float) -> Tensor:
    op = "depthwise_conv"
    for name, operand, axes in (("x", x, 4), ("weights", weights, 2), ("bias", bias, 1)):
        checks.check_operand(op, name, operand, axes)
    channels = x.shape[1]
    checks.require(kernel in (3, 5) and stride in (1, 2),
                   f"{op}: the kernel must be 3 or 5 and the stride 1 or 2, not {kernel} and "
                   f"{stride}")
    checks.require(weights.shape == (kernel ** 2, channels),
                   f"{op}: weights must come from depthwise_pack for {channels} channels and a "
                   f"kernel of {kernel}, not be {checks.sizes(weights)}")
    checks.require(bias is None or bias.shape == (channels,), f"{op}: bias must be ({channels},)")
    checks.require(min(pad_h, pad_w) >= 0, f"{op}: padding must not be negative")
    checks.require(x.shape[2] + 2 * pad_h >= kernel and x.shape[3] + 2 * pad_w >= kernel,
                   f"{op}: the kernel does not fit into x {checks.sizes(x)}")
    weight = weights.t().reshape(channels, 1, kernel, kernel)
    top = F.conv2d(x, weight, bias, stride, (pad_h, pad_w), 1, channels)
    return top.clamp(low, high).contiguous(memory_format=torch.channels_last)


def image_conv(x: Tensor, packed: Tensor, out_channels: int, kernel: Sequence[int],
               bias: Tensor | None, stride: Sequence[int], padding: Sequence[int], low: float,
               high: float) -> Tensor:
    op = "image_conv"
    for name, operand, axes in (("x", x, 4), ("packed", packed, 2), ("bias", bias, 1)):
        checks.check_operand(op, name, operand, axes)
    checks.require(x.shape[1] > 0, f"{op}: x must have channels, not be {checks.sizes(x)}")
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
