"""A part of a net as an ONNX model, and the comparison of the two.

One function per layer type makes its nodes (windows.py, values.py, shapes.py). The operators are
those of opset 14 (2021). Sizes are fixed: those that the net has when it is exported.
"""
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from caffe.core.errors import LayerError, WeightsError
from caffe.export import shapes, values, windows
from caffe.export.part import Part
from caffe.export.reference_ops import LRN, MaxRoiPool
from caffe.export.scope import Scope
from caffe.nets.net import Net
from caffe.runners.runner import LayerRunner

OPSET, IR_VERSION = 14, 7
_LIMIT = 2000 << 20     # bytes of weights; protobuf's largest message is 2 GB
_PLAIN = {"Sigmoid": "Sigmoid", "TanH": "Tanh", "AbsVal": "Abs", "BNLL": "Softplus"}
EXPORTERS: dict[str, Callable[..., Any]] = {
    "ArgMax": shapes.arg_max, "Axpy": values.axpy, "BatchNorm": values.batch_norm,
    "BatchReindex": shapes.batch_reindex, "Bias": values.bias, "Clip": values.clip,
    "Concat": shapes.concat, "Convolution": windows.convolution,
    "ConvolutionDepthwise": windows.convolution, "Crop": shapes.crop,
    "Deconvolution": windows.convolution, "DepthwiseConvolution": windows.convolution,
    "Dropout": values.dropout, "DummyData": shapes.constants, "ELU": values.elu,
    "Eltwise": values.eltwise, "Embed": values.embed, "Exp": values.exp,
    "Flatten": shapes.fixed_reshape, "InnerProduct": values.inner_product, "LRN": windows.lrn,
    "Log": values.log, "MVN": values.mvn, "Normalize": values.normalize, "PReLU": values.prelu,
    "Parameter": shapes.constants, "Permute": shapes.permute, "Pooling": windows.pooling,
    "Power": values.power, "ROIPooling": windows.roi_pooling, "ReLU": values.relu,
    "ReLU6": values.relu6, "Reduction": shapes.reduction, "Reshape": shapes.fixed_reshape,
    "Scale": values.scale, "ShuffleChannel": shapes.shuffle_channel, "Silence": shapes.silence,
    "Slice": shapes.slices, "Softmax": values.softmax, "Split": shapes.split,
    "Swish": values.swish, "Threshold": values.threshold, "Tile": shapes.tile,
    **{ours: functools.partial(lambda kind, scope, x: scope.op(kind, x), theirs)
       for ours, theirs in _PLAIN.items()},
}


def to_onnx(net: Net, part: Part) -> onnx.ModelProto:
    """The onnx.ModelProto of a Part of a net, in the net's phase, with its weights inside.

    Inputs and outputs are called as the blobs. Raises LayerError for a layer that has no ONNX form,
    WeightsError where the weights are too much for one protobuf message.
    """
    _check_size(net, part)
    current = {name: name for name in part.inputs}
    nodes, initializers, last = [], [], _last_writers(net, part)
    for index in part.layers:
        layer = net._runners[index]
        scope = Scope(layer)
        found = _exporter(net, layer)(scope, *(current[name] for name in layer.bottom_names))
        for name, value in zip(layer.top_names, [found] if isinstance(found, str) else found):
            fresh = name if last[name] == index else f"{name}@{layer.name}"
            current[name] = fresh if scope.rename(value, fresh) else value
        nodes += scope.nodes
        initializers += scope.initializers
    for name in part.outputs:
        if current[name] != name:
            nodes.append(helper.make_node("Identity", [current[name]], [name], name=f"{name}/out"))
    graph = helper.make_graph(nodes, str(net.name) or "net", *(
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, net.blobs[name].shape)
         for name in names] for names in (part.inputs, part.outputs)), initializer=initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)],
                              ir_version=IR_VERSION, producer_name="caffe-fast-rcnn")
    onnx.checker.check_model(model)
    return model


def largest_difference(net: Net, part: Part, model: onnx.ModelProto, seed: int = 0) -> float:
    """The largest difference of an output in the net and in ONNX's reference evaluator, as a share
    of the output's largest value; the inputs are random, rois lie on the map. A slow check.
    """
    for name in part.inputs:
        _fill_randomly(net, part, name, np.random.default_rng(seed))
    feeds = {name: net.blobs[name].data.copy() for name in part.inputs}
    for index in part.layers:
        net.run_forward(index, index, record=False)
    theirs = evaluate(model, feeds)
    ours = [net.blobs[name].data for name in part.outputs]
    return max(float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-30))
               for a, b in zip(ours, theirs))


def evaluate(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a model for {input name: array}, by onnx's reference evaluator."""
    evaluator = ReferenceEvaluator(model, new_ops=[LRN, MaxRoiPool])
    return evaluator.run(None, feeds)


def _fill_randomly(net: Net, part: Part, name: str, generator: np.random.Generator) -> None:
    blob = net.blobs[name]
    values = generator.standard_normal(blob.shape)
    poolers = [net._runners[i] for i in part.layers if net._runners[i].type == "ROIPooling"]
    for layer in poolers:
        if layer.bottom_names[1] == name:
            extent = np.array(layer.bottoms[0].shape[3:1:-1] * 2) / layer.module.spatial_scale
            corners = np.sort(generator.uniform(0, extent, (blob.shape[0], 4)).reshape(-1, 2, 2), 1)
            values = np.concatenate([np.zeros((blob.shape[0], 1)), corners.reshape(-1, 4)], 1)
    blob.data[...] = values.reshape(blob.shape)


def _last_writers(net: Net, part: Part) -> dict[str, int]:
    return {name: index for index in part.layers for name in net._runners[index].top_names}


def _exporter(net: Net, layer: LayerRunner) -> Callable[..., Any]:
    if layer.type in EXPORTERS:
        return EXPORTERS[layer.type]
    end, start = (", ".join(_own_name(net, name) for name in names) or "other blobs"
                  for names in (layer.bottom_names, layer.top_names))
    raise LayerError(f'layer "{layer.name}" ({layer.type}) has no ONNX form; export what lies '
                     f"before it (end: {end}) or behind it (start: {start}) instead")


def _own_name(net: Net, name: str) -> str:
    """The name that the prototxt has for a blob that a Split layer of the engine made."""
    for runner in net._runners:
        if runner.type == "Split" and name in runner.top_names and name not in runner.bottom_names:
            return runner.bottom_names[0]
    return name


def _check_size(net: Net, part: Part) -> None:
    size = sum(4 * blob.count for index in part.layers for blob in net._runners[index].blobs)
    if size > _LIMIT:
        raise WeightsError(f"the weights have {size >> 20} MB; protobuf holds no more than "
                           f"{_LIMIT >> 20} MB in one ONNX file")
