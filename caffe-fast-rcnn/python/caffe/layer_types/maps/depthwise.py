"""Training of depthwise convolutions on the CPU, where oneDNN is slow at the kernels' gradient.

Measured on one core (AVX-512), ms:

    map                 kernel          oneDNN      ours
    144 x 154 x 204     6 x 6 / 2       25          4.0
    240 x 77 x 102      5 x 5           21          3.3
    480 x 38 x 51       3 x 3           0.8         0.5
    64 x 1152 x 4 x 4   5 x 5           17          2.5
    64 x 1152 x 4 x 4   3 x 3           0.4         0.9
"""
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.layer_types.maps.windows import Windows
from caffe.operators.registration import raw

# oneDNN is fast at kernels with so many entries over tops narrower than this
_FAST_KERNEL, _SMALL_WIDTH = 9, 8


def is_slow_depthwise(x: Tensor, weight: Tensor, windows: Windows, group: int) -> bool:
    """Whether `depthwise_convolution` is the faster way to train a convolution."""
    if not (group == x.shape[1] == weight.shape[0] and len(windows.kernel) == 2
            and set(windows.dilation) == {1} and x.device.type == "cpu"
            and x.dtype in (torch.float32, torch.bfloat16)
            and torch.is_grad_enabled() and weight.requires_grad):
        return False
    return weight[0].numel() > _FAST_KERNEL or windows.counts(x.shape[2:])[1] >= _SMALL_WIDTH


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
            of_weight = raw.depthwise_kernel_gradient(
                grad.float(), x.float(), weight.shape[2:], ctx.stride, ctx.pad).to(weight.dtype)
        if ctx.bias_sizes and ctx.needs_input_grad[2]:
            of_bias = grad.sum((0, 2, 3))
        return of_x, of_weight, of_bias, None, None
