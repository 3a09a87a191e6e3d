"""ONNX nodes of the layers with windows: convolutions, pooling, LRN."""
import math
from typing import Any

import numpy as np
import torch

from caffe.export.layers.graph import FLOAT
from caffe.export.layers.scope import Scope
from caffe.layer_types.maps.pooling import (
    AVE,
    MAX,
    STOCHASTIC,
    Grid,
    make_grid,
    window_divisors,
)
from caffe.proto.caffe_pb2 import TEST


def convolution(scope: Scope, *bottoms: str) -> list[str]:
    """Convolutions (depthwise ones too) and Deconvolution, one node per bottom."""
    module, windows = scope.module, scope.module.windows
    if module.axis != 1:
        raise scope.error(f"axis {module.axis}")
    if not windows.kernel:
        raise scope.error("a bottom without height and width")
    weights = [scope.blob(0, "weight")]
    weights += [scope.blob(1, "bias")] if len(scope.layer.blobs) > 1 else []
    kind = "ConvTranspose" if scope.layer.type == "Deconvolution" else "Conv"
    return [scope.op(kind, x, *weights, kernel_shape=windows.kernel, strides=windows.stride,
                     pads=windows.pad * 2, dilations=windows.dilation, group=module.group)
            for x in bottoms]


def pooling(scope: Scope, x: str) -> str | list[str]:
    """MAX and AVE. Pads extend the bottom as far as the last windows reach."""
    p = scope.module.p
    if p.pool == STOCHASTIC and scope.layer.phase != TEST:
        raise scope.error("stochastic pooling in training")
    if len(scope.top_shapes) == 2:
        scope.fixed("a Pooling with a second top")
        return _maxima_and_places(scope, x)
    if p.global_pooling and p.pool != STOCHASTIC:
        return scope.op("GlobalMaxPool" if p.pool == MAX else "GlobalAveragePool", x)
    if p.pool == STOCHASTIC:
        return _expectation(scope, x)
    if scope.is_free:
        return _pooling_of_any_size(scope, x)
    return _pooling_of_one_size(scope, x, _grid(scope), p.pool == AVE)


def _grid(scope: Scope) -> Grid:
    size, module = tuple(scope.bottom_shapes[0][2:]), scope.module
    return make_grid(size, module.kernel or size, module.stride, module.pad, module.rounds_up)


def _window(scope: Scope, grid: Grid) -> dict[str, Any]:
    """The attributes of a pooling operator whose windows are those of a Grid."""
    size = scope.bottom_shapes[0][2:]
    starts = [s * (c - 1) - p for s, c, p in zip(grid.stride, grid.counts, grid.pad)]
    if any(start >= n for start, n in zip(starts, size)):
        raise scope.error("a window that holds nothing but padding")
    behind = [max(start + k - n, 0) for start, k, n in zip(starts, grid.kernel, size)]
    return {"kernel_shape": grid.kernel, "strides": grid.stride, "pads": [*grid.pad, *behind]}


def _maxima_and_places(scope: Scope, x: str) -> list[str]:
    """MAX with its second top. ONNX counts places through all items and channels."""
    top, places = scope.op("MaxPool", x, outputs=2, **_window(scope, _grid(scope)))
    cells = math.prod(scope.bottom_shapes[0][2:])
    return [top, scope.cast(scope.op("Mod", places, scope.integers(cells)), FLOAT)]


def _expectation(scope: Scope, x: str) -> str:
    """STOCHASTIC in the TEST phase: the sum of squares by the sum of each window."""
    scope.fixed("a stochastic pooling")
    window = _window(scope, _grid(scope))
    total, squares = (scope.op("AveragePool", value, count_include_pad=1, **window)
                      for value in (x, scope.op("Mul", x, x)))
    some = scope.op("Greater", total, scope.number(0))
    share = scope.op("Div", squares, scope.op("Where", some, total, scope.number(1)))
    return scope.op("Where", some, share, scope.number(0))


def spp(scope: Scope, x: str) -> str:
    """A pooling for each level of the pyramid."""
    scope.fixed("an SPP")
    height, width = scope.bottom_shapes[0][2:]
    tops = []
    for level in range(scope.module.levels):
        bins = 2 ** level
        kernel = -(-height // bins), -(-width // bins)
        pad = (kernel[0] * bins - height + 1) // 2, (kernel[1] * bins - width + 1) // 2
        grid = make_grid((height, width), kernel, kernel, pad)
        tops.append(_pooling_of_one_size(scope, x, grid, scope.module.pool == AVE))
    if len(tops) == 1:
        return tops[0]
    return scope.op("Concat", *(scope.op("Flatten", top) for top in tops), axis=1)


def im2col(scope: Scope, *bottoms: str) -> list[str]:
    """A convolution whose kernels are 1 at one place each."""
    windows, channels = scope.module.windows, scope.bottom_shapes[0][1]
    if scope.module.axis != 1 or len(windows.kernel) != 2:
        raise scope.error("Im2col of other axes than height and width")
    count = int(np.prod(windows.kernel))
    kernels = np.tile(np.eye(count, dtype=np.float32), (channels, 1))
    weight = scope.constant(kernels.reshape(channels * count, 1, *windows.kernel))
    return [scope.op("Conv", x, weight, kernel_shape=windows.kernel, strides=windows.stride,
                     pads=windows.pad * 2, dilations=windows.dilation, group=channels)
            for x in bottoms]


def _pooling_of_one_size(scope: Scope, x: str, grid: Grid, average: bool) -> str:
    window = _window(scope, grid)
    if not average:
        return scope.op("MaxPool", x, **window)
    size = tuple(scope.bottom_shapes[0][2:])
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
    axes = 2 + len(pad)
    inside = scope.op("Expand", scope.constant(np.ones((1,) * axes, np.float32)),
                      scope.op("Concat", scope.integers([1, 1]),
                               scope.op("Slice", scope.op("Shape", x), scope.integers([2]),
                                        scope.integers([axes])), axis=0))
    inside = scope.op("Pad", inside, scope.integers([0, 0, *pad, 0, 0, *pad]), scope.number(1))
    more = [*[0] * len(pad), *(a - p for a, p in zip(after, pad))]
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
