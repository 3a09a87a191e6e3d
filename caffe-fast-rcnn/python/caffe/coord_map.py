"""Maps between the coordinates of two blobs (pycaffe: caffe.coord_map).

    from caffe.coord_map import crop
    n.score = crop(n.upscore, n.data)       # a Crop layer with the offset that aligns the two

A map (axis, a, b) takes the coordinate i of one blob to a * i + b in another, on each axis after
`axis`, the channel axis; (None, 1, 0) is the identity and has no axis. A layer's map goes from
bottom to top. The blobs are the tops of a NetSpec, a net written in Python.
"""
from collections.abc import Iterator
from typing import Any

import numpy as np

from caffe.core.errors import CaffeError
from caffe.net_spec import Function, Top
from caffe.net_spec import layers as L

PASS_THROUGH_LAYERS = ["AbsVal", "BatchNorm", "Bias", "BNLL", "Clip", "Dropout", "Eltwise", "ELU",
                       "Exp", "Log", "LRN", "MVN", "Power", "PReLU", "ReLU", "Scale", "Sigmoid",
                       "Split", "Swish", "TanH", "Threshold"]
CoordMap = tuple[int | None, Any, Any]      # axis, a, b; numbers or an array per axis
_IDENTITY: CoordMap = None, 1, 0


class UndefinedMapException(CaffeError):
    """A layer without a map between the coordinates of its bottom and its top."""


class AxisMismatchException(CaffeError):
    """Maps with different axes."""


class CropError(CaffeError, AssertionError):
    """Blobs of which one cannot be cropped to the other (pycaffe: an assertion)."""


def conv_params(fn: Function) -> tuple[int, Any, Any, Any]:
    """(axis, stride, extent of the dilated kernel, pad) of a layer with windows; arrays per axis.
    """
    params = fn.params.get("pooling_param" if fn.type_name == "Pooling" else "convolution_param",
                           fn.params)
    kernel = _per_axis(params, "kernel_size", "kernel_h", "kernel_w", None)
    if kernel is None:
        raise UndefinedMapException(f"{fn.type_name}: its kernel_size is not known")
    dilation = np.array(params.get("dilation", 1), ndmin=1)
    return (params.get("axis", 1), _per_axis(params, "stride", "stride_h", "stride_w", 1),
            (kernel - 1) * dilation + 1, _per_axis(params, "pad", "pad_h", "pad_w", 0))


def _per_axis(params: dict[str, Any], name: str, name_h: str, name_w: str,
              default: int | None) -> np.ndarray | None:
    if name_h in params or name_w in params:
        return np.array([params.get(name_h, default), params.get(name_w, default)])
    value = params.get(name, default)
    return None if value is None else np.array(value, ndmin=1)


def crop_params(fn: Function) -> tuple[int, np.ndarray]:
    """(axis, offset) of a Crop layer; offset is an array."""
    params = fn.params.get("crop_param", fn.params)
    return params.get("axis", 2), np.array(params.get("offset", 0), ndmin=1)


def coord_map(fn: Function) -> CoordMap:
    """The map of a layer (a net_spec.Function), from bottom to top."""
    if fn.type_name in ("Convolution", "Pooling", "Im2col"):
        axis, stride, extent, pad = conv_params(fn)
        return axis, 1 / stride, (pad - (extent - 1) / 2) / stride
    if fn.type_name == "Deconvolution":
        axis, stride, extent, pad = conv_params(fn)
        return axis, stride, (extent - 1) / 2 - pad
    if fn.type_name in PASS_THROUGH_LAYERS:
        return _IDENTITY
    if fn.type_name == "Crop":
        axis, offset = crop_params(fn)
        return axis - 1, 1, -offset     # the first axis of a Crop is cropped itself
    raise UndefinedMapException(f"layers of type {fn.type_name} have no map of coordinates")


def compose(base_map: CoordMap, next_map: CoordMap) -> CoordMap:
    """The map that applies next_map, then base_map."""
    axis1, a1, b1 = base_map
    axis2, a2, b2 = next_map
    if None not in (axis1, axis2) and axis1 != axis2:
        raise AxisMismatchException(f"one map begins at axis {axis1}, the other at {axis2}")
    return axis2 if axis1 is None else axis1, a1 * a2, a1 * b2 + b1


def inverse(coord_map: CoordMap) -> CoordMap:
    """The inverse map."""
    axis, a, b = coord_map
    return axis, 1 / a, -b / a


def coord_map_from_to(top_from: Top, top_to: Top) -> CoordMap:
    """The map from the coordinates of top_from to those of top_to, by a blob that both depend on.

    RuntimeError when no spatial layers connect them.
    """
    from_maps = dict(_maps_to_ancestors(top_from))
    for top, to_map in _maps_to_ancestors(top_to):
        if top in from_maps:
            return compose(to_map, inverse(from_maps[top]))
    raise RuntimeError("cannot compute a map between the two tops; are they connected by spatial "
                       "layers?")


def _maps_to_ancestors(top: Top) -> Iterator[tuple[Top, CoordMap]]:
    """Yields (blob, map from that blob to `top`) for `top` and all it depends on, nearest first."""
    maps, waiting = {top: _IDENTITY}, [top]
    for top in waiting:
        yield top, maps[top]
        try:
            layer_map = coord_map(top.fn)
        except UndefinedMapException:
            continue
        # only the size of a Crop's second bottom counts
        bottoms = top.fn.inputs[:1] if top.fn.type_name == "Crop" else top.fn.inputs
        for bottom in bottoms:
            if bottom not in maps:
                maps[bottom] = compose(maps[top], layer_map)
                waiting.append(bottom)


def crop(top_from: Top, top_to: Top) -> Top:
    """A Crop layer that crops top_from to the size of top_to, at the offset that aligns them.

    CropError when the two differ in scale, or the offset is negative or not a whole number.
    """
    axis, a, b = coord_map_from_to(top_from, top_to)
    offset = -np.array(b, ndmin=1)
    if not np.all(np.asarray(a) == 1):
        raise CropError(f"scale mismatch: a step in the blob to be cropped is {a} steps in the "
                        "reference; choose the strides so that it is 1")
    if (offset < 0).any():
        raise CropError(f"the reference begins {-offset} pixels before the blob to be cropped; "
                        "pad earlier (FCN: pad 100 in the first convolution)")
    if (np.round(offset) != offset).any():
        raise CropError(f"the reference lies {offset} pixels inside the blob to be cropped, "
                        "which is no whole number; change a kernel or a pad")
    axes = {} if axis is None else {"axis": axis + 1}
    return L.Crop(top_from, top_to,
                  crop_param=dict(offset=[int(n) for n in offset], **axes))
