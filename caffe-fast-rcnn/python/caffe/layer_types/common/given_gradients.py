"""Results whose gradient is given instead of derived, where Caffe's differs from the derivative."""
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx


class _Given(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, value: Tensor, *pairs: Tensor) -> Tensor:
        ctx.save_for_backward(*pairs[1::2])
        return value.clone()

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        out = [None]
        for factor in ctx.saved_tensors:
            out += [grad * factor, None]
        return tuple(out)


def with_gradient(value: Tensor, *pairs: tuple[Tensor, Tensor]) -> Tensor:
    """`value`, with the gradient `grad * factor` for each `x` of the pairs (x, factor).

    `grad` (of the shape of `value`) must broadcast to the shape of `x`.
    """
    flat = [tensor for pair in pairs for tensor in (pair[0], pair[1].detach())]
    return _Given.apply(value.detach(), *flat)
