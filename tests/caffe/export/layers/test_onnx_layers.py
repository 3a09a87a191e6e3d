"""Every layer type with an ONNX form: its tops in ONNX Runtime are those of the net."""
import pathlib
import re

import numpy as np
import pytest
import torch
from layer_harness import EXAMPLES, X, net_around, values

import caffe
from caffe import export
from caffe.core.errors import CaffeError, LayerError
from caffe.export.comparing import evaluate
from caffe.export.layers.graph import Form
from caffe.export.layers.table import EXPORTERS, NO_FORM
from caffe.files import prototxt
from caffe.layer_types.common import registry

README = pathlib.Path(__file__).resolve().parents[4] / "caffe-fast-rcnn" / "README.md"

# examples without an ONNX form: type -> {number: what the error says}
REFUSED = {
    "Convolution": {2: "axis 2"},
    "BN": {2: "statistics"}, "Pooling": {3: "nothing but padding"},
    "ROIAlign": {2: "corners"}, "Silence": {0: None},
}
# 30 priors, two images, three classes; offsets of every class, and shared ones
_LOW = (values((30, 2), 5) + 2) / 6
MANY = torch.stack([torch.cat([_LOW, _LOW + (values((30, 2), 6) + 3) / 12], 1),
                    torch.full((30, 4), 0.1)]).reshape(1, 2, -1)
OFFSETS = [values((2, 360), 7) / 2, values((2, 120), 8) / 2]
SCORES = (values((2, 90), 9) + 2) / 4
FURTHER = {
    "ArgMax": [(f"argmax_param {{ {text} }}", [X.round()], 1) for text in (
        "axis: 1", "", "top_k: 3", "out_max_val: true", "axis: -1 top_k: 2",
        "axis: 2 top_k: 2 out_max_val: true")] + [
        ("argmax_param { top_k: 2 out_max_val: true }", [values((3, 5))], 1)],
    "BatchNorm": [("", [values((2, 3))], 1)],
    "Crop": [("crop_param { axis: 1 offset: 1 }", [X, values((2, 2, 2, 2))], 1)],
    "Deconvolution": [("convolution_param { num_output: 2 group: 2 kernel_size: 3 stride: 2 "
                       "dilation: 2 bias_term: false }", [values((1, 2, 3, 4))], 1)],
    "DetectionOutput": [
        (f"detection_output_param {{ num_classes: 3 {text} }}", [OFFSETS[share], SCORES, MANY], 1)
        for share, text in enumerate((
            "share_location: false confidence_threshold: 0.3 nms_param { nms_threshold: 0.4 }",
            "code_type: CENTER_SIZE keep_top_k: 7 nms_param { nms_threshold: 0.45 top_k: 20 }"))]
    + [(f"detection_output_param {{ num_classes: 3 {text} }}", [OFFSETS[1] / 30, SCORES, MANY], 1)
       for text in ("code_type: CORNER_SIZE background_label_id: -1", "confidence_threshold: 9",
                    "variance_encoded_in_target: true keep_top_k: 200")],
    "Eltwise": [("", [X, X + 1], 1)],
    "Flatten": [("", [X], 1), *((f"flatten_param {{ axis: {a} end_axis: {b} }}", [X], 1)
                                for a, b in ((0, -2), (0, 0), (2, 2), (-1, -1), (0, -1)))],
    "MVN": [(f"mvn_param {{ {text} }}", [values((3, 5))], 1)
            for text in ("", "normalize_variance: false", "across_channels: true")],
    "Pooling": [
        ("pooling_param { kernel_size: 3 stride: 2 pad: 1 }", [X], 1),
        ("pooling_param { kernel_size: 2 stride: 2 pad: 1 }", [X], 1),      # the last is clipped
        ("pooling_param { kernel_h: 2 kernel_w: 3 stride: 2 round_mode: FLOOR }", [X], 1),
        ("pooling_param { kernel_size: 2 stride: 2 ceil_mode: false }", [values((1, 2, 5, 5))], 1),
        ("pooling_param { pool: AVE kernel_size: 3 stride: 2 }", [X], 1),
        ("pooling_param { pool: AVE kernel_size: 2 stride: 3 pad: 1 }", [values((1, 2, 7, 6))], 1),
        ("pooling_param { global_pooling: true }", [X], 1),
        ("pooling_param { kernel_size: 3 stride: 2 pad: 1 }", [values((1, 2, 4, 5, 6))], 1),
        ("pooling_param { pool: AVE kernel_size: 3 stride: 2 }", [values((1, 2, 4, 5, 6))], 1),
        ("pooling_param { pool: AVE kernel_size: 2 stride: 2 pad: 1 round_mode: FLOOR }",
         [values((1, 2, 4, 5, 6))], 1)],
    "Power": [("power_param { power: 0 shift: 3 }", [X], 1),
              ("power_param { scale: 0 shift: 3 power: 2 }", [X], 1)],
    "Reshape": [("reshape_param { shape { dim: 0 dim: 2 dim: -1 dim: 0 } }",
                 [values((1, 6, 2, 3))], 1)],
    "Scale": [("scale_param { num_axes: 2 }", [X], 1), ("scale_param { axis: 0 num_axes: 0 }", [X],
                                                        1)],
    "Slice": [("slice_param { axis: -1 }", [values((2, 4))], 4), ("", [X], 1)],
    "Softmax": [("", [X], 1)],
}
CASES = [(kind, *example) for kind in sorted(EXPORTERS)
         for i, example in enumerate([*EXAMPLES.get(kind, ()), *FURTHER.get(kind, ())])
         if i not in REFUSED.get(kind, ())]


def test_every_type_has_a_case_or_a_reason():
    assert set(EXPORTERS) == {kind for kind, *_ in CASES} | {"Silence"}
    others = {"Input", "Python"}        # what a graph begins with, and what says it by itself
    assert set(registry.layer_type_list()) | {"Python"} == {*EXPORTERS, *NO_FORM, *others}
    assert not set(EXPORTERS) & set(NO_FORM)


def takes_free_sizes(kind):
    """Whether some case of a type has a graph for inputs of any size."""
    for text, bottoms, tops in [case[1:] for case in CASES if case[0] == kind]:
        try:
            export.to_onnx(net_around(kind, text, bottoms, tops), form=Form(free_sizes=True))
            return True
        except LayerError as error:
            assert "of fixed size only" in str(error)
    return False


def test_the_readme_says_what_exports():
    row = re.compile(r"^\| (\w+) \|.*\| (yes|fixed|no) \| [\w./]+\.py \|$", re.MULTILINE)
    said = dict(row.findall(README.read_text()))
    assert set(registry.layer_type_list()) <= {*said, "Input"}
    for kind in EXPORTERS:
        wanted = "yes" if kind == "Silence" or takes_free_sizes(kind) else "fixed"
        assert said[kind] == wanted, kind
    assert {kind for kind, word in said.items() if word == "no"} == set(NO_FORM)


@pytest.mark.parametrize("kind, text, bottoms, tops", CASES)
def test_tops_are_those_of_onnx_runtime(kind, text, bottoms, tops):
    net = net_around(kind, text, bottoms, tops)
    model = export.to_onnx(net)
    assert [top.name for top in model.graph.output] == net.outputs
    net.forward()
    used = [entry.name for entry in model.graph.input]
    answer = evaluate(model, {name: net.blobs[name].data for name in used})
    for name, top in zip(net.outputs, answer, strict=True):
        assert top.shape == net.blobs[name].shape
        np.testing.assert_allclose(top, net.blobs[name].data, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kind, text, bottoms, tops", [
    case for case in CASES if case[2] and case[0] not in ("PriorBox", "PriorBoxClustered")])
def test_free_sizes(kind, text, bottoms, tops):
    """The graph that is made for one size holds for another, or says that it does not."""
    net = net_around(kind, text, bottoms, tops)
    try:
        model = export.to_onnx(net, form=Form(free_sizes=True))
    except LayerError as error:
        assert "of fixed size only" in str(error)
        return
    if len(bottoms) == 1 and bottoms[0].dim() == 4 and kind != "Embed":
        items, channels, height, width = bottoms[0].shape
        net.blobs["b0"].reshape(items, channels, height + 3, width + 2)
        try:
            net.reshape()
            net.blobs["b0"].data[...] = values(net.blobs["b0"].shape).numpy()
        except LayerError:      # the layer itself takes one size only
            net.blobs["b0"].reshape(*bottoms[0].shape)
            net.blobs["b0"].data[...] = bottoms[0].numpy()
    net.forward()
    used = [entry.name for entry in model.graph.input]
    answer = evaluate(model, {name: net.blobs[name].data for name in used})
    for name, top in zip(net.outputs, answer, strict=True):
        np.testing.assert_allclose(top, net.blobs[name].data, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kind, text, shape, says", [
    ("Dropout", "dropout_param { sample_weights_test: true }", (2, 3), "dropping values at random"),
    ("Convolution", "convolution_param { num_output: 2 }", (3, 4), "without height and width"),
    ("Deconvolution", "convolution_param { num_output: 2 }", (3, 4), "without height and width")])
def test_what_else_is_refused(kind, text, shape, says):
    with pytest.raises(LayerError, match=says):
        export.to_onnx(net_around(kind, text, [values(shape)], 1))


def test_numbers_of_items_that_are_known_at_run_time_only():
    """The graph of a net whose sizes are fixed says so, and what follows takes any number."""
    text = """
        layer { name: "x" type: "Input" top: "x" top: "chosen"
                input_param { shape { dim: 4 dim: 2 dim: 3 } shape { dim: 4 } } }
        layer { name: "f" type: "Filter" bottom: "x" bottom: "chosen" top: "f" }
        layer { name: "r" type: "Reshape" bottom: "f" top: "r"
                reshape_param { shape { dim: -1 dim: 3 dim: 2 } } }
        layer { name: "y" type: "Flatten" bottom: "r" top: "y" }
        layer { name: "z" type: "Power" bottom: "x" top: "z" }"""
    net = caffe.Net(prototxt.read_net_text(text), caffe.TEST)
    model = export.to_onnx(net)
    dims = {top.name: [dim.dim_param or dim.dim_value for dim in top.type.tensor_type.shape.dim]
            for top in model.graph.output}
    assert dims == {"y": ["y_0", 6], "z": [4, 2, 3]}
    net.blobs["x"].data[...] = values((4, 2, 3)).numpy()
    for chosen in ([1, 0, 1, 1], [0, 0, 1, 0], [1, 1, 1, 1]):
        net.blobs["chosen"].data[...] = chosen
        wanted = net.forward()
        found = evaluate(model, {name: net.blobs[name].data for name in ("x", "chosen")})
        for name, top in zip(net.outputs, found, strict=True):
            np.testing.assert_array_equal(top, wanted[name])


def test_a_net_without_outputs():
    with pytest.raises(CaffeError, match="has no outputs"):
        export.select(net_around("Silence", "", [X], 0))


@pytest.mark.parametrize("kind, number, says", [(kind, number, says)
                                                for kind, cases in REFUSED.items()
                                                for number, says in cases.items() if says])
def test_what_has_no_onnx_form_is_refused(kind, number, says):
    net = net_around(kind, *EXAMPLES[kind][number])
    with pytest.raises(LayerError, match=rf'layer "it" \({kind}\): .*{says}.* has no ONNX form'):
        export.to_onnx(net)
