"""Parts of nets, their ONNX graphs, and weights as PyTorch tensors."""
import math
import os
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import caffe
from caffe import export
from caffe.core.errors import CaffeError, LayerError
from caffe.export.comparing import evaluate
from caffe.files import prototxt

NET = """
layer { name: "data" type: "Input" top: "data" top: "rois"
        input_param { shape { dim: 1 dim: 3 dim: 8 dim: 10 } shape { dim: 1 dim: 5 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 pad: 1
                            weight_filler { type: "gaussian" std: 1 } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "aside" type: "Convolution" bottom: "conv" top: "aside"
        convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "odd" type: "Python" bottom: "aside" top: "chosen"
        python_param { module: "export_test_layer" layer: "Same" } }
layer { name: "pool" type: "ROIPooling" bottom: "conv" bottom: "rois" top: "pool"
        roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.5 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "drop" type: "Dropout" bottom: "fc" top: "fc" }
"""


@pytest.fixture
def net(monkeypatch):
    module = type(sys)("export_test_layer")
    module.Same = type("Same", (caffe.TensorLayer,), {
        "reshape": lambda self, bottom, top: top[0].reshape(*bottom[0].shape),
        "forward": lambda self, x: x})
    monkeypatch.setitem(sys.modules, "export_test_layer", module)
    caffe.set_random_seed(1)
    net = caffe.Net(prototxt.read_net_text(NET), caffe.TEST)
    mean, variance, weight = net.params["bn"]
    mean.data[...], variance.data[...], weight.data[...] = [1, 2, 3, 4], [4, 8, 2, 2], 2
    net.params["scale"][0].data[...] = [1, -2, 3, 0.5]
    return net


def test_whole_net_names_the_layer_without_a_form(net):
    with pytest.raises(LayerError, match=r'layer "odd" \(Python\) has no ONNX form.*'
                                         r"end: aside.*start: chosen"):
        export.to_onnx(net)


def test_part_before_the_python_layer(net):
    part = export.select(net, end=["aside", "conv"])
    assert part.inputs == ["data"]
    assert [net._runners[i].name for i in part.layers if net._runners[i].type != "Split"] == \
        ["conv", "bn", "scale", "relu", "aside"]
    assert export.largest_difference(net, part, export.to_onnx(net, part)) < 1e-5


def test_part_behind_a_blob_with_other_sizes(net):
    shapes = {"conv": (2, 4, 20, 30), "rois": (7, 5)}
    part = export.select(net, ["conv", "rois"], ["fc"], shapes)
    model = export.to_onnx(net, part)
    assert sorted(part.inputs) == ["conv", "rois"]
    assert [node.op_type for node in model.graph.node] == ["MaxRoiPool", "Flatten", "Gemm",
                                                           "Identity"]
    assert [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == [7, 3]
    assert export.largest_difference(net, part, model) < 1e-5


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_on_one_side_are_a_difference(net, value):
    part = export.select(net, end=["conv", "aside"])
    model = export.to_onnx(net, part)
    assert export.largest_difference(net, part, model) < 1e-5
    net.params["aside"][1].data[...] = value
    assert export.largest_difference(net, part, model) == math.inf
    assert export.largest_difference(net, part, export.to_onnx(net, part)) < 1e-5


def test_the_start_stands_for_the_last_value_of_a_blob(net):
    part = export.select(net, ["conv"], ["aside"])
    assert [node.op_type for node in export.to_onnx(net, part).graph.node] == ["Conv"]


@pytest.mark.parametrize("start, end, shapes, says", [
    ([], ["asid"], {}, 'no blob "asid".*did you mean "aside"'),
    (["fc"], ["aside"], {}, 'aside does not depend on "fc"'),
    ([], ["aside"], {"conv": (1, 4, 3, 3)}, '"conv" is no input here.*inputs are data'),
    ([], ["aside"], {"data": (1, 2, 8, 8)}, 'layer "conv".*expected 3 channels'),
])
def test_impossible_parts(net, start, end, shapes, says):
    with pytest.raises(CaffeError, match=says):
        export.select(net, start, end, shapes)


def test_graph_reads_back_and_keeps_the_weights(net, tmp_path):
    model = export.to_onnx(net, export.select(net, end=["aside"]))
    onnx.save(model, tmp_path / "m.onnx")
    weights = {entry.name: onnx.numpy_helper.to_array(entry)
               for entry in onnx.load(tmp_path / "m.onnx").graph.initializer}
    assert np.array_equal(weights["conv.weight"], net.params["conv"][0].data)
    assert np.array_equal(weights["bn.running_var"], np.float32([2, 4, 1, 1]))


def test_weights_too_large_for_one_message_lie_beside(net, monkeypatch, tmp_path):
    part = export.select(net, end=["aside"])
    whole = export.to_onnx(net, part)
    monkeypatch.setattr("caffe.export.write.LARGEST_MESSAGE", 100)
    monkeypatch.setattr("caffe.export.write._SMALLEST", 30)
    paths = export.write_onnx(export.to_onnx(net, part), tmp_path / "m.onnx")
    assert [os.path.basename(path) for path in paths] == ["m.onnx", "m.onnx.data"]
    assert len(onnx.load(paths[0], load_external_data=False).graph.initializer[0].raw_data) == 0
    read = onnx.load(paths[0])
    for mine, theirs in zip(read.graph.initializer, whole.graph.initializer):
        assert np.array_equal(onnx.numpy_helper.to_array(mine), onnx.numpy_helper.to_array(theirs))
    feeds = {"data": net.blobs["data"].data.copy() + 1}
    session = onnxruntime.InferenceSession(paths[0])
    assert np.array_equal(session.run(None, feeds)[0], onnxruntime.InferenceSession(
        whole.SerializeToString()).run(None, feeds)[0])


def test_state_dict_in_pytorch(net):
    tensors = export.state_dict(net)
    assert list(tensors) == ["conv.weight", "conv.bias", "bn.running_mean", "bn.running_var",
                             "scale.weight", "scale.bias", "aside.weight", "aside.bias",
                             "fc.weight", "fc.bias"]
    conv, norm = torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4)
    conv.load_state_dict({name: tensors[f"conv.{name}"] for name in ("weight", "bias")})
    norm.load_state_dict({
        "weight": tensors["scale.weight"], "bias": tensors["scale.bias"],
        "running_mean": tensors["bn.running_mean"], "running_var": tensors["bn.running_var"]})
    x = torch.randn(1, 3, 8, 10)
    net.blobs["data"].data[...] = x
    net.run_forward(0, net._layer_names.index("relu"))
    with torch.no_grad():
        expected = torch.relu(norm.eval()(conv(x)))
    np.testing.assert_allclose(net.blobs["conv"].data, expected, rtol=1e-4, atol=1e-5)
    tensors["conv.weight"].zero_()
    assert net.params["conv"][0].data.any()


@pytest.mark.parametrize("layers", [
    [("same", "data", "a"), ("same", "a", "b")], [("same", "data", "a"), ("same", "a", "a")],
    [("input", "data", "a"), ("outputs", "a", "a"), ("detections", "a", "b")],
    [("one", "data", "x"), ("two", "x", "one.weight")],
    [("one", "data", "one/Conv0"), ("two", "one/Conv0", "b")],
    [("one", "data", "a"), ("two", "a", "a@three"), ("three", "data", "b"), ("four", "b", "b")]])
def test_names_of_layers_and_blobs_may_be_any(layers):
    text = 'input: "data" input_shape { dim: 1 dim: 3 dim: 9 dim: 9 }\n' + "".join(
        f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{top}" '
        'convolution_param { num_output: 3 kernel_size: 1 weight_filler { type: "gaussian" } } }\n'
        for name, bottom, top in layers)
    caffe.set_random_seed(2)
    net = caffe.Net(prototxt.read_net_text(text), caffe.TEST)
    net.blobs["data"].data[...] = np.random.default_rng(0).standard_normal((1, 3, 9, 9))
    wanted = net.forward()
    found = evaluate(export.to_onnx(net), {"data": net.blobs["data"].data.copy()})
    for name, top in zip(net.outputs, found, strict=True):
        np.testing.assert_allclose(top, wanted[name], rtol=1e-4, atol=1e-5)
    assert len(export.state_dict(net)) == 2 * len(layers)
