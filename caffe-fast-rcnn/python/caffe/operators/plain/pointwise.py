"""The convolution with a kernel of 1 x 1 and packed weights, by PyTorch's own."""
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
    checks.check_out("pointwise_conv", out, top)
    out.copy_(top)
