"""Every layer type with an ONNX form: its tops are those of ONNX's reference evaluator."""
import numpy as np
import pytest
from layer_harness import EXAMPLES, X, values

import caffe
from caffe import export
from caffe.core.errors import LayerError
from caffe.export.model import EXPORTERS, evaluate
from caffe.files import prototxt

# examples without an ONNX form: type -> {number: what the error says}
REFUSED = {
    "ArgMax": {0: "without axis"}, "Convolution": {2: "axis 2"},
    "Pooling": {1: "second top", 3: "nothing but padding", 5: "stochastic"},
    "Silence": {0: None},
}
FURTHER = {
    "ArgMax": [("argmax_param { axis: 1 }", [X.round()], 1)],
    "BatchNorm": [("", [values((2, 3))], 1)],
    "Crop": [("crop_param { axis: 1 offset: 1 }", [X, values((2, 2, 2, 2))], 1)],
    "Deconvolution": [("convolution_param { num_output: 2 group: 2 kernel_size: 3 stride: 2 "
                       "dilation: 2 bias_term: false }", [values((1, 2, 3, 4))], 1)],
    "Eltwise": [("", [X, X + 1], 1)],
    "Flatten": [("flatten_param { axis: 0 end_axis: -2 }", [X], 1)],
    "Pooling": [
        ("pooling_param { kernel_size: 3 stride: 2 pad: 1 }", [X], 1),
        ("pooling_param { kernel_size: 2 stride: 2 pad: 1 }", [X], 1),      # the last is clipped
        ("pooling_param { kernel_h: 2 kernel_w: 3 stride: 2 round_mode: FLOOR }", [X], 1),
        ("pooling_param { kernel_size: 2 stride: 2 ceil_mode: false }", [values((1, 2, 5, 5))], 1),
        ("pooling_param { pool: AVE kernel_size: 3 stride: 2 }", [X], 1),
        ("pooling_param { pool: AVE kernel_size: 2 stride: 3 pad: 1 }", [values((1, 2, 7, 6))], 1),
        ("pooling_param { global_pooling: true }", [X], 1)],
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


def net_around(kind, text, bottoms, tops):
    """A TEST net of one layer "it", its inputs holding the bottoms, its blobs random."""
    inputs = "".join(
        f'layer {{ name: "b{i}" type: "Input" top: "b{i}" input_param {{ shape {{ '
        + " ".join(f"dim: {d}" for d in b.shape) + " } } }\n" for i, b in enumerate(bottoms))
    names = "".join(f'bottom: "b{i}" ' for i in range(len(bottoms)))
    names += "".join(f'top: "t{i}" ' for i in range(tops))
    layer = f'layer {{ name: "it" type: "{kind}" {names} {text} }}'
    net = caffe.Net(prototxt.read_net_text(inputs + layer), caffe.TEST)
    generator = np.random.default_rng(3)
    for blob in net.params.get("it", ()):
        blob.data[...] = generator.uniform(0.5, 1.5, blob.shape)
    for i, array in enumerate(bottoms):
        net.blobs[f"b{i}"].data[...] = array.numpy()
    return net


def test_every_exporter_has_a_case():
    assert set(EXPORTERS) == {kind for kind, *_ in CASES} | {"Silence"}


@pytest.mark.parametrize("kind, text, bottoms, tops", CASES)
def test_tops_are_those_of_the_reference_evaluator(kind, text, bottoms, tops):
    net = net_around(kind, text, bottoms, tops)
    model = export.to_onnx(net)
    assert [top.name for top in model.graph.output] == net.outputs
    net.forward()
    used = [entry.name for entry in model.graph.input]
    answer = evaluate(model, {name: net.blobs[name].data for name in used})
    for name, top in zip(net.outputs, answer, strict=True):
        assert top.shape == net.blobs[name].shape
        np.testing.assert_allclose(top, net.blobs[name].data, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kind, number, says", [(kind, number, says)
                                                for kind, cases in REFUSED.items()
                                                for number, says in cases.items() if says])
def test_what_has_no_onnx_form_is_refused(kind, number, says):
    net = net_around(kind, *EXAMPLES[kind][number])
    with pytest.raises(LayerError, match=rf'layer "it" \({kind}\): .*{says}.* has no ONNX form'):
        export.to_onnx(net)
