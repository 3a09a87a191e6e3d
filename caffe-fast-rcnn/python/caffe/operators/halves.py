"""Numbers of half the bytes, bfloat16 and half: the operators compute with them in float32.

What an operator reads is converted and its result is rounded once, so that maxima are the same
values, sums lose nothing on the way, and the gradients that meet in one cell add up as float32.
"""
import torch
from torch import Tensor

HALVES = torch.bfloat16, torch.float16


def widened(x: Tensor) -> Tensor:
    """A tensor of half the bytes as float32; others as they are."""
    return x.float() if x.dtype in HALVES else x
