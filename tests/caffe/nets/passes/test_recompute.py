"""Nets that drop activations and compute them again: the same gradients, less memory."""
import numpy as np
import pytest

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
