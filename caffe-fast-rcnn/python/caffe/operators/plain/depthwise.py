"""The depthwise convolution with packed weights, by PyTorch's own."""
import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.operators.plain import checks


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
