"""Which layers of a net of bf16 multiply in bf16.

Those do whose results reach further products. The last ones, whose results are scores, box deltas
or what a loss compares, stay float32: they are small, and every rounding of theirs would show.
"""
from collections.abc import Sequence

import torch

from caffe.layer_types.common.module import Numbers
from caffe.runners.module_runner import ModuleRunner, SplitRunner
from caffe.runners.runner import LayerRunner


def set_factors(layers: Sequence[LayerRunner], factors: torch.dtype) -> str:
    """Sets the factors of every ModuleRunner that multiplies: `factors`, or float32 at the end.

    Returns the name of the net's precision.
    """
    if factors == torch.float32:
        return "float32"
    read_by_products: set[int] = set()      # ids of blobs
    for layer in reversed(layers):
        reaches = any(id(top) in read_by_products for top in layer.tops)
        if isinstance(layer, ModuleRunner) and layer.module.numbers is Numbers.OF_NET:
            layer.factors = factors if reaches else torch.float32
            reaches = True
        if reaches and _passes_on(layer):
            read_by_products.update(id(bottom) for bottom in layer.bottoms)
    return "bf16"


def _passes_on(layer: LayerRunner) -> bool:
    """Whether a layer can take bottoms of half the bytes."""
    return isinstance(layer, SplitRunner) or (
        isinstance(layer, ModuleRunner) and layer.module.numbers is not Numbers.FLOAT32)
