"""Training nets of bf16 that keep features or drop activations: the numbers of the same net that
does neither, to the last bit."""
import numpy as np
import pytest
import torch
from half_bytes import needs_bf16, precision
from net_texts import fc, input_layer, layer

import caffe
from caffe.files import prototxt

pytestmark = needs_bf16
CONV = ('convolution_param { num_output: 16 kernel_size: 3 pad: 1 '
        'weight_filler { type: "msra" } } ')
FROZEN = "param { lr_mult: 0 } param { lr_mult: 0 }"
POOL = "pooling_param { pool: AVE kernel_size: 2 stride: 2 }"    # rounds what it computes
NET = (
    input_layer("data", 2, 3, 24, 24) + input_layer("labels", 2)
    + layer("conv1", "Convolution", "data", None, CONV + FROZEN)
    + layer("relu1", "ReLU", "conv1", "conv1") + layer("pool1", "Pooling", "conv1", None, POOL)
    + layer("norm2", "LRN", "pool1") + layer("conv2", "Convolution", "norm2", None, CONV)
    + layer("sum2", "Eltwise", "conv2 norm2") + layer("pool2", "Pooling", "sum2", None, POOL)
    + layer("norm3", "LRN", "pool2") + layer("conv3", "Convolution", "norm3", None, CONV)
    + layer("sum3", "Eltwise", "conv3 pool2") + layer("conv4", "Convolution", "sum3", None, CONV)
    + fc("fc", "conv4", 3) + layer("loss", "SoftmaxWithLoss", "fc labels"))


@pytest.fixture
def make():
    def net():
        caffe.set_random_seed(5)
        with precision("bf16"):
            made = caffe.Net(prototxt.read_net_text(NET, origin="test"), caffe.TRAIN)
        made.blobs["data"].data[...] = np.random.default_rng(3).normal(size=(2, 3, 24, 24))
        made.blobs["labels"].data[...] = [0, 2]
        return made
    return net


def passed(net):
    """The net after two passes over the same images."""
    for _ in range(2):
        net.clear_param_diffs()
        net.forward()
        net.backward()
    return net


def assert_same(net, plain):
    """Loss, gradients and blobs, which are read from the last one to the first."""
    assert net.blobs["loss"].data == plain.blobs["loss"].data
    for name, blobs in plain.params.items():
        for one, other in zip(blobs, net.params[name]):
            assert np.array_equal(one.diff, other.diff), name
    for name in reversed(plain.blobs):
        assert np.array_equal(net.blobs[name].data, plain.blobs[name].data), name


def test_kept_features(make):
    plain, net = passed(make()), make()
    cache = net.passes.keep_features(1 << 20, lambda: ["a", "b"])
    passed(net)
    assert cache.hits == 1
    assert net.blobs["norm2"].values.as_is().dtype == torch.bfloat16
    assert cache.size == 2 * 16 * 12 * 12 * 2      # images, channels, pixels, bytes
    assert_same(net, plain)


def test_recomputed_activations(make):
    plain, net = passed(make()), make()
    net.passes.recompute_activations()
    passed(net)
    assert_same(net, plain)


def test_both(make):
    plain, net = passed(make()), make()
    net.passes.recompute_activations()
    cache = net.passes.keep_features(1 << 20, lambda: ["a", "b"])
    passed(net)
    assert cache.hits == 1
    assert_same(net, plain)
