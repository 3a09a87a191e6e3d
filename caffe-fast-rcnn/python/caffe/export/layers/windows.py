"""ONNX nodes of the layers with windows: convolutions, pooling, LRN."""
from typing import Any

import numpy as np
import torch

from caffe.export.layers.scope import Scope
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
    p = scope.module.p
    if p.pool == STOCHASTIC:
        raise scope.error("stochastic pooling")
    if len(scope.top_shapes) > 1:
        raise scope.error("a second top, with the places of the maxima,")
    if p.global_pooling:
        return scope.op("GlobalMaxPool" if p.pool == MAX else "GlobalAveragePool", x)
    return _pooling_of_any_size(scope, x) if scope.is_free else _pooling_of_one_size(scope, x)


def _pooling_of_one_size(scope: Scope, x: str) -> str:
    height, width = scope.bottom_shapes[0][2:]
    size = height, width
    grid = make_grid(size, scope.module.kernel, scope.module.stride, scope.module.pad,
                     scope.module.rounds_up)
    left, right, above, below = grid.margins(size)
    pads = [above, left, max(below, 0), max(right, 0)]
    starts = [s * (c - 1) - p for s, c, p in zip(grid.stride, grid.counts, grid.pad)]
    if any(start >= n for start, n in zip(starts, size)):
        raise scope.error("a window that holds nothing but padding")
    window: dict[str, Any] = {"kernel_shape": grid.kernel, "strides": grid.stride, "pads": pads}
    if scope.module.p.pool != AVE:
        return scope.op("MaxPool", x, **window)
    top = scope.op("AveragePool", x, count_include_pad=1, **window)
    # ONNX divides by all cells of a window, Caffe by those inside bottom + pad
    share = np.prod(grid.kernel) / window_divisors(size, grid, torch.zeros(())).numpy()
    return top if (share == 1).all() else scope.op("Mul", top, scope.constant(share))


def _pooling_of_any_size(scope: Scope, x: str) -> str:
    """Rounding up is a pad of stride - 1 more cells behind the map, and rounding down."""
    module = scope.module
    kernel, stride, pad = module.kernel, module.stride, module.pad
    if module.rounds_up and any(p + s > k for p, s, k in zip(pad, stride, kernel)):
        scope.fixed("a pooling whose last window may hold nothing but padding")
    after = [p + s - 1 if module.rounds_up else p for p, s in zip(pad, stride)]
    window: dict[str, Any] = {"kernel_shape": kernel, "strides": stride}
    pads = [*pad, *after]
    if module.p.pool != AVE:
        return scope.op("MaxPool", x, pads=pads, **window)
    if not any(pad):
        return scope.op("AveragePool", x, pads=pads, count_include_pad=0, **window)
    # Caffe divides by the cells inside bottom + pad: their share of each window is an average too
    inside = scope.op("Expand", scope.constant(np.ones((1, 1, 1, 1), np.float32)),
                      scope.op("Concat", scope.integers([1, 1]),
                               scope.op("Slice", scope.op("Shape", x), scope.integers([2]),
                                        scope.integers([4])), axis=0))
    inside = scope.op("Pad", inside, scope.integers([0, 0, *pad, 0, 0, *pad]), scope.number(1))
    more = [0, 0, *(a - p for a, p in zip(after, pad))]
    share = scope.op("AveragePool", inside, pads=more, count_include_pad=1, **window)
    return scope.op("Div", scope.op("AveragePool", x, pads=pads, count_include_pad=1, **window),
                    share)


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
