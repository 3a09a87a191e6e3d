"""Detectors with smaller numbers: half precision and 8 bits."""
import numpy as np
import onnx
import pytest

from caffe import export
from faster_rcnn.export.checks.net_detectors import net_detector
from faster_rcnn.export.checks.runtimes import described, start
from faster_rcnn.export.half import half_precision
from faster_rcnn.export.making import whole_detector
from faster_rcnn.export.quantized import quantized
from faster_rcnn.export.ssd import detections_blob

HALF = onnx.TensorProto.FLOAT16


def share_found(ours, theirs, box, score):
    """The share of our detections that have one near them."""
    found = 0
    for corners, value, label in zip(*ours):
        near = (np.abs(theirs.boxes - corners).max(1) < box) & (theirs.labels == label)
        found += bool((near & (np.abs(theirs.scores - value) < score)).any())
    return found / len(ours.labels)


@pytest.mark.parametrize("detector", ["faster_rcnn", "fast_rcnn", "rfcn", "ssd"], indirect=True)
def test_half_precision(detector, tmp_path):
    net, options, pictures = detector
    whole = whole_detector(net, options)
    model = half_precision(whole)
    sizes = [export.write_onnx(m, tmp_path / name) and (tmp_path / name).stat().st_size
             for m, name in ((whole, "whole.onnx"), (model, "half.onnx"))]
    assert sizes[1] < (0.85 if detections_blob(net) else 0.62) * sizes[0]    # the priors stay
    types = {entry.name: entry.data_type for entry in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert all(types[name] == HALF for node in convolutions for name in node.input[1:])
    detect = start("onnxruntime", str(tmp_path / "half.onnx"), 1)
    ours, theirs = net_detector(net, options)(*pictures[0]), detect(*pictures[0])
    assert theirs.boxes.dtype == theirs.scores.dtype == np.float32
    assert share_found(ours, theirs, 1.5, 0.03) > 0.7


def test_weights_beyond_the_range_become_the_largest_number():
    weight = onnx.numpy_helper.from_array(np.float32([[[[1e6]]]]), "w")
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"])
    end = onnx.helper.make_node("Softmax", ["y"], ["z"])
    infos = [onnx.helper.make_tensor_value_info(n, 1, [1, 1, 2, 2]) for n in "xz"]
    graph = onnx.helper.make_graph([node, end], "g", infos[:1], infos[1:], [weight])
    half = half_precision(onnx.helper.make_model(graph))
    [constant] = half.graph.initializer
    assert onnx.numpy_helper.to_array(constant).item() == 65504
    assert [n.op_type for n in half.graph.node] == ["Cast", "Conv", "Cast", "Softmax"]


@pytest.mark.parametrize("detector", ["faster_rcnn"], indirect=True)
def test_eight_bits(detector, tmp_path):
    net, options, pictures = detector
    path = str(tmp_path / "int8.onnx")
    export.write_onnx(quantized(whole_detector(net, options), pictures), path)
    graph = onnx.load(path).graph
    weights = [entry for entry in graph.initializer if entry.data_type == onnx.TensorProto.INT8]
    assert len(weights) >= 11       # convolutions and products
    assert described(path)["classes"] == list(options.classes)
    ours = net_detector(net, options)(*pictures[0])
    found = start("onnxruntime", path, 1)(*pictures[0])
    assert share_found(ours, found, 6, 0.1) > 0.5
