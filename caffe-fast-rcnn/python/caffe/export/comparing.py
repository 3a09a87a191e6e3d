"""An exported part of a net in ONNX Runtime, beside the net itself."""
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from caffe.export.part import Part, own_name
from caffe.nets.net import Net
from caffe.runners.runner import LayerRunner

_ROI_LAYERS = ("PSROIPooling", "ROIAlign", "ROIPooling")


def largest_difference(net: Net, part: Part, model: onnx.ModelProto, seed: int = 0) -> float:
    """The largest difference of an output in the net and in ONNX Runtime, as a share of the
    output's largest value; infinite where the shapes differ, or NaN or infinite values do.

    The inputs are random; rois lie on the map, im_info is that of the blob data, indices name what
    is there.
    """
    for name in part.inputs:
        net.blobs[name].data[...] = _values(net, part, name, np.random.default_rng(seed))
    feeds = {name: net.blobs[name].data.copy() for name in part.inputs}
    for index in part.layers:
        net.run_forward(index, index, record=False)
    theirs = evaluate(model, feeds)
    ours = [net.blobs[name].data for name in part.outputs]
    return max(_difference(a, b) for a, b in zip(ours, theirs))


def evaluate(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a model for {input name: array}, by ONNX Runtime on the CPU."""
    import onnxruntime
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    return session.run(None, dict(feeds))


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """NaN and infinite values must be the same ones."""
    if ours.shape != theirs.shape:
        return math.inf
    others, their_others = (np.where(np.isfinite(values), 0, values) for values in (ours, theirs))
    if not np.array_equal(others, their_others, equal_nan=True):
        return math.inf
    finite = np.isfinite(ours)
    largest = max(np.abs(ours[finite]).max(initial=0), 1e-30)
    return float(np.abs(ours[finite] - theirs[finite]).max(initial=0) / largest)


def _values(net: Net, part: Part, name: str, generator: np.random.Generator) -> np.ndarray:
    """Numbers for an input of the part, such as the layers that read it take."""
    shape = net.blobs[name].shape
    if name == "im_info" and "data" in net.blobs:
        return np.resize([*net.blobs["data"].shape[2:], 1, 1, 1, 1], shape[-1:])
    for index in part.layers:
        layer = net._runners[index]
        places = [place for place, bottom in enumerate(layer.bottom_names)
                  if own_name(net, bottom) == name]
        if layer.type in _ROI_LAYERS and places == [1]:
            return _rois(layer, shape, generator)
        if layer.type == "Embed":
            return generator.integers(0, layer.blobs[0].shape[0], shape)
        if layer.type == "BatchReindex" and places == [1]:
            return generator.integers(0, layer.bottoms[0].shape[0], shape)
    return generator.standard_normal(shape)


def _rois(layer: LayerRunner, shape: tuple[int, ...],
          generator: np.random.Generator) -> np.ndarray:
    module: Any = getattr(layer, "module", None)
    extent = np.array(layer.bottoms[0].shape[3:1:-1] * 2) / module.spatial_scale
    corners = np.sort(generator.uniform(0, extent, (shape[0], 4)).reshape(-1, 2, 2), 1)
    return np.concatenate([np.zeros((shape[0], 1)), corners.reshape(-1, 4)], 1).reshape(shape)
