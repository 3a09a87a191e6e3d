"""Nets that drop activations and compute them again: the same gradients, less memory."""
import numpy as np
import pytest
from net_texts import fc, input_layer, layer

import caffe
from caffe.files import prototxt

CONV = """
layer {{ name: "conv{0}" type: "Convolution" bottom: "{1}" top: "conv{0}" {2}
  convolution_param {{ num_output: 4 kernel_size: 3 pad: 1 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu{0}" type: "ReLU" bottom: "conv{0}" top: "conv{0}" }}
"""
POOL = """
layer {{ name: "pool{0}" type: "Pooling" bottom: "conv{0}" top: "pool{0}"
  pooling_param {{ kernel_size: 2 stride: 2 }} }}
"""
FROZEN = "param { lr_mult: 0 } param { lr_mult: 0 }"
NET = """
layer { name: "data" type: "DummyData" top: "data" top: "labels" dummy_data_param {
  shape { dim: 2 dim: 3 dim: 17 dim: 16 } shape { dim: 2 }
  data_filler { type: "gaussian" std: 1 } data_filler { type: "constant" value: 1 } } }
""" + CONV.format(1, "data", FROZEN) + POOL.format(1) + CONV.format(2, "pool1", "") + CONV.format(
    3, "conv2", "") + POOL.format(3) + CONV.format(4, "pool3", "") + """
layer { name: "sum" type: "Eltwise" bottom: "conv4" bottom: "pool3" top: "sum" }
layer { name: "drop" type: "Dropout" bottom: "sum" top: "sum" }
layer { name: "fc" type: "InnerProduct" bottom: "sum" top: "fc"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "labels" top: "loss" }
"""


@pytest.fixture
def make():
    def net(recompute, text=NET):
        caffe.set_random_seed(5)
        made = caffe.Net(prototxt.read_net_text(text, origin="test"), caffe.TRAIN)
        if recompute:
            made.passes.recompute_activations()
        return made
    return net


def passed(net, times=2):
    for _ in range(times):
        net.clear_param_diffs()
        net.forward()
        net.backward()
    return net


def test_gradients_are_the_same_to_the_last_bit(make):
    plain, saving = passed(make(False)), passed(make(True))
    assert plain.blobs["loss"].data == saving.blobs["loss"].data
    for name, blobs in plain.params.items():
        for one, other in zip(blobs, saving.params[name]):
            assert np.array_equal(one.diff, other.diff), name


def test_only_what_other_segments_read_stays(make):
    net = passed(make(True))
    held = {name for name, blob in net.blobs.items()
            if not blob.values.is_deferred and not blob.values.is_unset}
    assert {"pool1", "pool3", "fc", "loss"} <= held
    assert not {"conv1", "conv2", "conv3"} & held
    assert all(blob.gradient.is_unset for name, blob in net.blobs.items() if name != "loss")


def test_who_reads_a_dropped_blob_gets_its_values(make):
    plain, saving = passed(make(False)), passed(make(True))
    for name in plain.blobs:
        assert saving.blobs[name].shape == plain.blobs[name].shape
        assert np.array_equal(saving.blobs[name].data, plain.blobs[name].data), name


def test_a_segment_whose_first_layers_are_frozen_is_dropped_after_backward(make):
    """Backward never comes to those, and leaves the segment before."""
    text = NET.replace(POOL.format(1), "").replace('bottom: "pool1"', 'bottom: "conv1"')
    plain, saving = passed(make(False, text)), passed(make(True, text))
    assert saving.blobs["conv2"].values.is_deferred
    for name, blobs in plain.params.items():
        assert np.array_equal(blobs[0].diff, saving.params[name][0].diff), name


BEGIN = input_layer("data", 2, 3, 17, 16) + input_layer("labels", 2)
THREE = ('convolution_param { num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } '
         "} ")
END = fc("fc", "last", 3) + layer("loss", "SoftmaxWithLoss", "fc labels")


def in_place(batch_norm):
    """A block of a ResNet: all but the convolutions works in place."""
    text = BEGIN
    for name, bottom in (("conv1", "data"), ("conv2", "conv1"), ("last", "conv2")):
        text += (layer(name, "Convolution", bottom, None, THREE)
                 + layer(f"bn_{name}", "BatchNorm", name, name, batch_norm)
                 + layer(f"scale_{name}", "Scale", name, name,
                         'scale_param { filler { type: "gaussian" std: 1 } bias_term: true }')
                 + layer(f"tanh_{name}", "TanH", name, name))
    return text + END


def deep():
    """Layers in place behind as many convolutions as a segment has layers."""
    names = ["data", *(f"conv{i}" for i in range(7)), "last"]
    text = BEGIN + "".join(layer(name, "Convolution", bottom, None, THREE)
                           for bottom, name in zip(names, names[1:]))
    return (text + layer("tanh", "TanH", "last", "last")
            + layer("sigmoid", "Sigmoid", "last", "last") + END)


RANDOM = (BEGIN + layer("first", "Convolution", "data", None, THREE)
          + layer("relu", "ReLU", "first", "first")
          + layer("pool", "Pooling", "first", None,
                  "pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 }")
          + layer("last", "Convolution", "pool", None, THREE) + END)


@pytest.mark.parametrize("text, dropped", [
    (in_place("batch_norm_param { use_global_stats: true }"), "conv1"), (in_place(""), None),
    (deep(), "conv1"), (RANDOM, None)],
    ids=["frozen statistics", "statistics", "deep", "random numbers"])
def test_layers_in_place_and_those_that_do_not_repeat(make, text, dropped):
    nets = make(False, text), make(True, text)
    for net in nets:
        net.blobs["data"].data[...] = np.random.default_rng(1).normal(size=(2, 3, 17, 16))
        caffe.set_random_seed(6)
        passed(net)
    plain, saving = nets
    assert dropped is None or saving.blobs[dropped].values.is_deferred
    for name, blobs in plain.params.items():
        for one, other in zip(blobs, saving.params[name]):
            assert np.array_equal(one.data, other.data), name
            assert np.array_equal(one.diff, other.diff), name
    for name in plain.blobs:
        assert np.array_equal(saving.blobs[name].data, plain.blobs[name].data), name
