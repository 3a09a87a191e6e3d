"""ONNX nodes of the layers with windows: convolutions, pooling, LRN, RoI pooling."""
from typing import Any

import numpy as np
import torch

from caffe.export.scope import Scope
from caffe.layer_types.maps.pooling import AVE, MAX, STOCHASTIC, make_grid, window_divisors


def convolution(scope: Scope, *bottoms: str) -> list[str]:
    """Convolutions (depthwise ones too) and Deconvolution, one node per bottom."""
    module, windows = scope.module, scope.module.windows
    if module.axis != 1:
        raise scope.error(f"axis {module.axis}")
    weights = [scope.blob(0, "weight")]
    weights += [scope.blob(1, "bias")] if len(scope.layer.blobs) > 1 else []
    kind = "ConvTranspose" if scope.layer.type == "Deconvolution" else "Conv"
    return [scope.op(kind, x, *weights, kernel_shape=windows.kernel, strides=windows.stride,
                     pads=windows.pad * 2, dilations=windows.dilation, group=module.group)
            for x in bottoms]


def pooling(scope: Scope, x: str) -> str:
    """MAX and AVE. Pads extend the bottom as far as the last windows reach."""
    p, (height, width) = scope.module.p, scope.bottom_shapes[0][2:]
    size = height, width
    if p.pool == STOCHASTIC:
        raise scope.error("stochastic pooling")
    if len(scope.top_shapes) > 1:
        raise scope.error("a second top, with the places of the maxima,")
    if p.global_pooling:
        return scope.op("GlobalMaxPool" if p.pool == MAX else "GlobalAveragePool", x)
    grid = make_grid(size, scope.module.kernel, scope.module.stride, scope.module.pad,
                     scope.module.rounds_up)
    left, right, above, below = grid.margins(size)
    pads = [above, left, max(below, 0), max(right, 0)]
    starts = [s * (c - 1) - p for s, c, p in zip(grid.stride, grid.counts, grid.pad)]
    if any(start >= n for start, n in zip(starts, size)):
        raise scope.error("a window that holds nothing but padding")
    window: dict[str, Any] = {"kernel_shape": grid.kernel, "strides": grid.stride, "pads": pads}
    if p.pool != AVE:
        return scope.op("MaxPool", x, **window)
    top = scope.op("AveragePool", x, count_include_pad=1, **window)
    # ONNX divides by all cells of a window, Caffe by those inside bottom + pad
    share = np.prod(grid.kernel) / window_divisors(size, grid, torch.zeros(())).numpy()
    return top if (share == 1).all() else scope.op("Mul", top, scope.constant(share))


def lrn(scope: Scope, x: str) -> str:
    """Across channels ONNX has the operator; within a channel it is composed of others."""
    p = scope.module.p
    if not scope.module.within:
        return scope.op("LRN", x, size=p.local_size, alpha=p.alpha, beta=p.beta, bias=p.k)
    square = scope.op("Mul", x, x)
    mean = scope.op("AveragePool", square, kernel_shape=[p.local_size] * 2,
                    pads=[p.local_size // 2] * 4, count_include_pad=1)
    base = scope.op("Add", scope.op("Mul", mean, scope.constant(np.float32(p.alpha))),
                    scope.constant(np.float32(1)))
    return scope.op("Div", x, scope.op("Pow", base, scope.constant(np.float32(p.beta))))


def roi_pooling(scope: Scope, features: str, rois: str) -> str:
    """MaxRoiPool has Fast R-CNN's rounding and its inclusive corners."""
    if len(scope.bottom_shapes[1]) != 2:
        rois = scope.reshape(rois, (-1, 5))
    return scope.op("MaxRoiPool", features, rois, pooled_shape=scope.module.pooled,
                    spatial_scale=scope.module.spatial_scale)
