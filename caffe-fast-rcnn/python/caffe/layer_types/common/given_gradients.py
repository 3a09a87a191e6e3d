"""Results whose gradient is given instead of derived, where Caffe's differs from the derivative."""
import torch


class _Given(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value, *pairs):
        ctx.save_for_backward(*pairs[1::2])
        return value.clone()

    @staticmethod
    def backward(ctx, grad):
        out = [None]
        for factor in ctx.saved_tensors:
            out += [grad * factor, None]
        return tuple(out)


def with_gradient(value, *pairs):
    """`value`, with the gradient `grad * factor` for each `x` of the pairs (x, factor).

    `grad` (of the shape of `value`) must broadcast to the shape of `x`.
    """
    flat = [tensor for pair in pairs for tensor in (pair[0], pair[1].detach())]
    return _Given.apply(value.detach(), *flat)
