"""The maxima and averages of windows, by PyTorch's own operations."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.operators.plain import checks


def max_pool(x: Tensor, kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int],
             counts: Sequence[int]) -> Tensor:
    _check("max_pool", x, kernel, stride, pad, counts)
    lowest = torch.finfo(x.dtype).min
    around = _margins(x, kernel, stride, pad, counts)
    padded = F.pad(x, around, value=-torch.inf)
    inside = F.pad(torch.ones_like(x, dtype=torch.bool), around)
    tops = [_windows(each, kernel, stride, counts) for each in (padded, inside)]
    top = tops[0].amax(-1).masked_fill(~tops[1].any(-1), lowest)
    return top.contiguous(memory_format=torch.channels_last)


def average_pool(x: Tensor, kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int],
                 counts: Sequence[int]) -> Tensor:
    _check("average_pool", x, kernel, stride, pad, counts)
    padded = F.pad(x, _margins(x, kernel, stride, pad, counts))
    lengths = [k - (torch.arange(c) * s + k - n - 2 * p).clamp(min=0) for n, k, s, p, c in
               zip(x.shape[2:], kernel, stride, pad, counts)]
    sizes = (lengths[0][:, None] * lengths[1]).to(x)
    top = _windows(padded, kernel, stride, counts).sum(-1) / sizes
    return top.contiguous(memory_format=torch.channels_last)


def _check(op: str, x: Tensor, kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int],
           counts: Sequence[int]) -> None:
    checks.require(x.dim() == 4 and x.dtype == torch.float32,
                   f"{op}: x must be (N, C, H, W), float32, not {checks.sizes(x)}, {x.dtype}")
    for numbers in (kernel, stride, pad, counts):
        checks.require(len(numbers) == 2 and min(numbers) >= 0,
                       f"{op}: kernel, stride, pad and counts must be two numbers each, none "
                       "negative")
    checks.require(min(*kernel, *stride) > 0, f"{op}: kernel and stride must be positive")


def _margins(x: Tensor, kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int],
             counts: Sequence[int]) -> list[int]:
    """Pixels that the windows reach beyond each side of x, in F.pad's order."""
    sides = [(p, max(0, s * (c - 1) + k - p - n)) for n, k, s, p, c in
             zip(x.shape[2:], kernel, stride, pad, counts)]
    return [cells for side in reversed(sides) for cells in side]


def _windows(x: Tensor, kernel: Sequence[int], stride: Sequence[int],
             counts: Sequence[int]) -> Tensor:
    for axis in (0, 1):
        x = x.unfold(2 + axis, kernel[axis], stride[axis])
    return x[:, :, :counts[0], :counts[1]].flatten(4)
