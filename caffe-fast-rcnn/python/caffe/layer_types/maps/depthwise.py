"""The gradient of depthwise kernels larger than 3x3, which oneDNN computes slowly on the CPU.

For 64 regions of 4 x 4 with 1152 channels and kernels of 5 x 5 PyTorch takes 84 ms, this takes 8;
for whole maps about two thirds of the time. Kernels of 3 x 3 are as fast there.
"""
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.layer_types.maps.windows import Windows

_FAST_KERNEL = 9    # entries of the kernels that oneDNN is fast at


def is_slow_depthwise(x: Tensor, weight: Tensor, windows: Windows, group: int) -> bool:
    """Whether `depthwise_convolution` is the faster way to train a convolution."""
    return (group == x.shape[1] == weight.shape[0] and len(windows.kernel) == 2
            and weight[0].numel() > _FAST_KERNEL and set(windows.dilation) == {1}
            and x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16)
            and torch.is_grad_enabled() and weight.requires_grad)


def depthwise_convolution(x: Tensor, weight: Tensor, bias: Tensor | None,
                          windows: Windows) -> Tensor:
    """F.conv2d of every channel by itself, with a gradient of its own.

    x: (N, C, H, W); weight: (C, 1, kh, kw); bias: (C,). All is computed in channels_last.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    return _Depthwise.apply(x, weight, bias, tuple(windows.stride), tuple(windows.pad))


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int],
                pad: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.pad, ctx.bias_sizes = stride, pad, None if bias is None else [len(bias)]
        return F.conv2d(x, weight, bias, stride, pad, 1, x.shape[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = torch.ops.aten.convolution_backward(
                grad, x, weight, ctx.bias_sizes, ctx.stride, ctx.pad, (1, 1), False, (0, 0),
                x.shape[1], (True, False, False))[0]
        if ctx.needs_input_grad[1]:
            of_weight = kernel_gradient(x, grad, weight.shape[2:], ctx.stride, ctx.pad)
        if ctx.bias_sizes and ctx.needs_input_grad[2]:
            of_bias = grad.sum((0, 2, 3))
        return of_x, of_weight, of_bias, None, None


def kernel_gradient(x: Tensor, grad: Tensor, kernel: tuple[int, ...], stride: tuple[int, int],
                    pad: tuple[int, int]) -> Tensor:
    """(C, 1, kh, kw): for every entry of the kernel, the sum of the products of the gradient
    (N, C, h, w) with the values of x (N, C, H, W) that the entry met."""
    made = x.new_zeros(x.shape[1], 1, *kernel)
    rows, columns = ([_met(entry, *of_axis) for entry in range(size)] for size, *of_axis in
                     zip(kernel, stride, pad, x.shape[2:], grad.shape[2:]))
    for i, (row, top_row) in enumerate(rows):
        for j, (column, top_column) in enumerate(columns):
            made[:, 0, i, j] = (x[:, :, row, column] * grad[:, :, top_row, top_column]).sum(
                (0, 2, 3))
    return made


def _met(entry: int, stride: int, pad: int, size: int, top_size: int) -> tuple[slice, slice]:
    """The places of an axis that an entry of the kernel meets, and the tops that it does so for."""
    first = max(0, -((entry - pad) // stride))
    count = max(0, min(top_size, (size - 1 + pad - entry) // stride + 1) - first)
    start = first * stride + entry - pad
    return (slice(start, start + count * stride, stride) if count else slice(0, 0),
            slice(first, first + count))
