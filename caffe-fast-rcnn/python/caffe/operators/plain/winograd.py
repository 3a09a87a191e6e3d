"""The operators of Winograd's convolution by PyTorch's own: "packed" weights are the kernels."""
import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.operators.plain import checks


def winograd_pack(weight: Tensor, tile: int, rotated: bool) -> Tensor:
    _check_weight("winograd_pack", weight)
    checks.require(tile in (2, 4, 6), "winograd_pack: a tile has 2, 4 or 6 outputs along a side, "
                   f"not {tile}")
    return weight.transpose(0, 1).flip(2, 3) if rotated else weight.clone()


def winograd_conv(x: Tensor, packed: Tensor, out_channels: int, bias: Tensor | None, pad_h: int,
                  pad_w: int, relu: bool, residual: Tensor | None) -> Tensor:
    op = "winograd_conv"
    _check(op, x, packed, out_channels, bias, pad_h, pad_w)
    top = F.conv2d(x, packed, None if bias is None else bias.to(x.dtype), padding=(pad_h, pad_w))
    if residual is not None:
        _check_map(op, "residual", residual, top)
        top = top + residual
    return (top.relu() if relu else top).contiguous(memory_format=torch.channels_last)


def winograd_conv_out(x: Tensor, packed: Tensor, out_channels: int, bias: Tensor | None,
                      pad_h: int, pad_w: int, relu: bool, residual: Tensor | None,
                      out: Tensor) -> None:
    top = winograd_conv(x, packed, out_channels, bias, pad_h, pad_w, relu, residual)
    _check_map("winograd_conv", "out", out, top)
    out.copy_(top)


def winograd_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, pad_h: int, pad_w: int,
                    tile: int) -> Tensor:
    packed = winograd_pack(weight, tile, False)
    return winograd_conv(x, packed, len(weight), bias, pad_h, pad_w, False, None)


def winograd_conv2d_backward(grad: Tensor, weight: Tensor, pad_h: int, pad_w: int,
                             tile: int) -> Tensor:
    op = "winograd_conv2d_backward"
    _check_weight(op, weight)
    checks.require(grad.dim() == 4 and grad.shape[1] == len(weight),
                   f"{op}: grad is {checks.sizes(grad)}, weight is {checks.sizes(weight)}")
    size = grad.shape[2] + 2 - 2 * pad_h, grad.shape[3] + 2 - 2 * pad_w
    made = torch.nn.grad.conv2d_input((len(grad), weight.shape[1], *size), weight, grad,
                                      padding=(pad_h, pad_w))
    return made.contiguous(memory_format=torch.channels_last)


def _check_float(op: str, name: str, x: Tensor) -> None:
    checks.require(x.dtype in (torch.float32, torch.bfloat16),
                   f"{op}: {name} must be float32 or bfloat16, not {checks.type_name(x)}")


def _check_weight(op: str, weight: Tensor) -> None:
    _check_float(op, "weight", weight)
    checks.require(weight.dim() == 4 and weight.shape[2:] == (3, 3),
                   f"{op}: weight must be (O, C, 3, 3), not {checks.sizes(weight)}")


def _check_map(op: str, name: str, x: Tensor, top: Tensor) -> None:
    _check_float(op, name, x)
    checks.require(x.dtype == top.dtype, f"{op}: {name} is {checks.type_name(x)}, x is "
                   f"{checks.type_name(top)}")
    checks.require(x.shape == top.shape,
                   f"{op}: {name} must be {checks.sizes(top)}, not {checks.sizes(x)}")


def _check(op: str, x: Tensor, packed: Tensor, out_channels: int, bias: Tensor | None, pad_h: int,
           pad_w: int) -> None:
    _check_float(op, "x", x)
    checks.require(x.dim() == 4, f"{op}: x must be (N, C, H, W), not {checks.sizes(x)}")
    checks.require(packed.dim() == 4 and packed.shape[2:] == (3, 3)
                   and len(packed) == out_channels,
                   f"{op}: packed must come from winograd_pack, not be {checks.sizes(packed)}")
    checks.require(x.dtype == packed.dtype, f"{op}: x is {checks.type_name(x)}, the weights are "
                   f"{checks.type_name(packed)}")
    checks.require(x.shape[1] == packed.shape[1], f"{op}: x is {checks.sizes(x)}, the weights are "
                   f"for {packed.shape[1]} channels")
    checks.require(min(pad_h, pad_w) >= 0,
                   f"{op}: padding must not be negative, not {pad_h}, {pad_w}")
    checks.require(min(x.shape[2] + 2 * pad_h, x.shape[3] + 2 * pad_w) >= 3,
                   f"{op}: the kernel does not fit into x {checks.sizes(x)} with padding {pad_h}, "
                   f"{pad_w}")
    if bias is not None:
        _check_float(op, "bias", bias)
        checks.require(bias.shape == (out_channels,),
                       f"{op}: bias must be ({out_channels},), not {checks.sizes(bias)}")
