"""Folded nets have the outputs of the nets they come from, and only what may be folded is."""
import numpy as np
import pytest

import caffe
from caffe.core.errors import WeightsError
from caffe.files import prototxt, weights
from caffe.nets.merge_bn import merge_batch_norm

NET = """
name: "n"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 4 dim: 9 dim: 8 } } }
layer { name: "a" type: "Convolution" bottom: "data" top: "a" param { lr_mult: 0 }
        convolution_param { num_output: 6 kernel_size: 3 pad: 1 group: 2 bias_term: false } }
layer { name: "a_bn" type: "BatchNorm" bottom: "a" top: "a" batch_norm_param { eps: 0.01 } }
layer { name: "a_scale" type: "Scale" bottom: "a" top: "a" scale_param { bias_term: true } }
layer { name: "a_relu" type: "ReLU" bottom: "a" top: "a" }
layer { name: "b" type: "Deconvolution" bottom: "a" top: "b"
        convolution_param { num_output: 4 kernel_size: 2 stride: 2 group: 2 } }
layer { name: "b_bn" type: "BatchNorm" bottom: "b" top: "b_bn" }
layer { name: "b_scale" type: "Scale" bottom: "b_bn" top: "b_scale" }
layer { name: "b_bias" type: "Bias" bottom: "b_scale" top: "b_bias" }
layer { name: "c" type: "Convolution" bottom: "b_bias" top: "c"
        convolution_param { num_output: 5 kernel_size: 1 } }
layer { name: "c_bn" type: "BatchNorm" bottom: "c" top: "c_bn" }
layer { name: "c_negative" type: "Power" bottom: "c_bn" top: "c_negative" power_param { scale: -1 } }
layer { name: "c_both" type: "Concat" bottom: "c_bn" bottom: "c_negative" top: "c_both" }
layer { name: "c_scale" type: "Scale" bottom: "c_both" top: "c_both" scale_param { bias_term: true } }
layer { name: "d" type: "InnerProduct" bottom: "c_both" top: "d" inner_product_param { num_output: 3 } }
layer { name: "d_bn" type: "BatchNorm" bottom: "d" top: "d" }
"""  # noqa: E501
FOLDED = ["a_bn", "a_scale", "b_bn", "b_scale", "b_bias", "c_bn", "d_bn"]


def random_weights(message, path, seed=0):
    net = caffe.Net(message, caffe.TEST)
    generator = np.random.default_rng(seed)
    for name, blobs in net.params.items():
        for blob in blobs:
            values = generator.standard_normal(blob.shape)
            blob.data[...] = np.abs(values) + 0.5 if name.endswith("_bn") else values
    net.save(str(path))
    return net


def outputs(net, x):
    net.blobs["data"].data[...] = x
    return {name: array.copy() for name, array in net.forward().items()}


def merged_net(message, path, tmp_path):
    merged, blobs, folded = merge_batch_norm(message, weights.read_weights(path))
    weights.write_weights(tmp_path / "m", "n", [(name, "", b) for name, b in blobs.items()])
    return caffe.Net(merged, caffe.TEST, weights=str(tmp_path / "m")), folded


@pytest.mark.parametrize("seed", [0, 1])
def test_equal_outputs(tmp_path, rng, seed):
    message = prototxt.read_net_text(NET)
    net = random_weights(message, tmp_path / "w", seed)
    merged, folded = merged_net(message, tmp_path / "w", tmp_path)
    assert folded == FOLDED
    assert not merged.last_copy.missing and not merged.last_copy.ignored_source
    x = rng.standard_normal((2, 4, 9, 8))
    expected = outputs(net, x)
    for name, array in outputs(merged, x).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-3,
                                   atol=1e-5 * np.abs(expected[name]).max())


def test_a_batch_norm_with_its_own_scale_and_bias_is_folded(tmp_path, rng):
    message = prototxt.read_net_text(NET.replace("eps: 0.01", "eps: 0.01 scale_bias: true"))
    net = random_weights(message, tmp_path / "w")
    merged, folded = merged_net(message, tmp_path / "w", tmp_path)
    assert folded == FOLDED
    x = rng.standard_normal((2, 4, 9, 8))
    wanted = outputs(net, x)
    for name, array in outputs(merged, x).items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-3, atol=1e-3)


def test_what_is_given_stays_and_frozen_layers_stay_frozen(tmp_path):
    message = prototxt.read_net_text(NET)
    random_weights(message, tmp_path / "w")
    blobs, text = weights.read_weights(tmp_path / "w"), str(message)
    merged, _, _ = merge_batch_norm(message, blobs)
    assert str(message) == text and list(blobs)[2] == "a_bn"
    layer = next(layer for layer in merged.layer if layer.name == "a")
    assert [spec.lr_mult for spec in layer.param] == [0, 0] and layer.convolution_param.bias_term


@pytest.mark.parametrize("old, new, stays", [
    ("batch_norm_param { eps: 0.01 }", "batch_norm_param { use_global_stats: false }",
     ["a_bn", "a_scale"]),                                      # the batch's own statistics
    ('top: "a" scale_param { bias_term: true }',                # not per channel
     'top: "a" scale_param { axis: 2 num_axes: 1 }', ["a_scale"]),
    ('type: "ReLU" bottom: "a" top: "a"', 'type: "ReLU" bottom: "data" top: "other"', []),
    ('bottom: "b_bn" top: "b_scale" }',                 # the convolution's top is read twice
     'bottom: "b_bn" top: "b_scale" } layer { name: "e" type: "TanH" bottom: "b" top: "e" }',
     ["b_bn", "b_scale", "b_bias"]),
    ('name: "d" type', 'name: "d" param { name: "shared" } type', ["d_bn"]),
    ('name: "d_bn" type', 'name: "d_bn" exclude { phase: TRAIN } type', ["d_bn"]),
])
def test_what_may_not_be_folded_stays(tmp_path, rng, old, new, stays):
    assert old in NET
    message = prototxt.read_net_text(NET.replace(old, new))
    net = random_weights(message, tmp_path / "w")
    merged, folded = merged_net(message, tmp_path / "w", tmp_path)
    assert folded == [name for name in FOLDED if name not in stays]
    x = rng.standard_normal((2, 4, 9, 8))
    expected = outputs(net, x)
    for name, array in outputs(merged, x).items():
        np.testing.assert_allclose(array, expected[name], rtol=2e-3,
                                   atol=1e-4 * np.abs(expected[name]).max())


def test_statistics_of_weight_zero_are_zero(tmp_path, rng):
    message = prototxt.read_net_text(NET)
    net = random_weights(message, tmp_path / "w")
    net.params["a_bn"][2].data[...] = 0
    net.save(str(tmp_path / "w"))
    merged, _ = merged_net(message, tmp_path / "w", tmp_path)
    x = rng.standard_normal((2, 4, 9, 8))
    np.testing.assert_allclose(outputs(merged, x)["d"], outputs(net, x)["d"], rtol=1e-2, atol=1e-2)


def test_weights_of_another_net(tmp_path):
    message = prototxt.read_net_text(NET)
    random_weights(message, tmp_path / "w")
    blobs = weights.read_weights(tmp_path / "w")
    with pytest.raises(WeightsError, match='no layer "a" .*another net'):
        merge_batch_norm(message, {name: blobs[name] for name in blobs if name != "a"})
    with pytest.raises(WeightsError, match='"a_bn" .BatchNorm. has 2 blobs .* and 3 in the net'):
        merge_batch_norm(message, {**blobs, "a_bn": blobs["a_bn"][:2]})
    with pytest.raises(WeightsError, match='"a" has 6 outputs, .* has 5 numbers'):
        merge_batch_norm(message, {**blobs, "a_bn": [b[:5] for b in blobs["a_bn"]]})
