"""The product of a few rows with a large matrix, for test nets, on the CPU.

    if takes(rows, weight): top = few_rows_product(x, weight, bias, low=0)

float32; the kernel in src/caffe/layers/few_rows.cpp divides the matrix among the threads, where
BLAS reads it in one. Every output is the same sum in the same order however many threads there are.
"""
import math

import torch
from torch import Tensor

from caffe.operators.plain.few_rows import MOST_ROWS
from caffe.operators.registration import are_compiled, raw, refuse_gradient


def takes(rows: int, weight: Tensor) -> bool:
    """Whether this is the way to the product of so many rows with the weight (O, K)."""
    return (are_compiled() and rows <= MOST_ROWS and weight.is_contiguous()
            and weight.dtype == torch.float32)


def few_rows_product(x: Tensor, weight: Tensor, bias: Tensor | None = None,
                     low: float = -math.inf, high: float = math.inf) -> Tensor:
    """x @ weight.T + bias, at least `low` and at most `high`.

    x: (R, K), at most MOST_ROWS rows; weight: (O, K); bias: (O,). Returns (R, O). No gradient
    passes through it. ValueError: operands that do not fit.
    """
    return raw.few_rows_product(x, weight, bias, low, high)


@torch.library.register_fake("caffe_fast_rcnn::few_rows_product")
def _(x, weight, bias, low, high):
    return x.new_empty((x.shape[0], weight.shape[0]))


refuse_gradient("few_rows_product", "torch.nn.functional.linear")
