"""Nets of bf16: which layers multiply in it, their numbers, and pycaffe's float32 contract."""
import logging

import numpy as np
import pytest
import torch
from half_bytes import assert_close, needs_bf16, precision, relative_error
from net_texts import input_layer, layer, net
from planned import HIDDEN, RESIDUAL, fill, planning

import caffe
from caffe.core import precision as precision_module
from caffe.core.errors import CaffeError

CONV = "convolution_param {{ num_output: {} kernel_size: 3 pad: 1 }}"
FC = "inner_product_param {{ num_output: {} }}"
# A detector in small: a trunk, an RPN's head, rois from outside, two products, two heads
DETECTOR = (
    input_layer("data", 1, 3, 24, 24) + input_layer("rois", 4, 5)
    + layer("conv1", "Convolution", "data", None, CONV.format(16))
    + layer("relu1", "ReLU", "conv1", "conv1") + layer("norm1", "LRN", "conv1")
    + layer("pool1", "Pooling", "norm1", None, "pooling_param { kernel_size: 2 stride: 2 }")
    + layer("conv2", "Convolution", "pool1", None, CONV.format(32))
    + layer("relu2", "ReLU", "conv2", "conv2")
    + layer("rpn_score", "Convolution", "conv2", None, CONV.format(6))
    + layer("rpn_prob", "Sigmoid", "rpn_score")
    + layer("pool", "ROIPooling", "conv2 rois", None,
            "roi_pooling_param { pooled_h: 3 pooled_w: 3 spatial_scale: 0.5 }")
    + layer("fc6", "InnerProduct", "pool", None, FC.format(40))
    + layer("relu6", "ReLU", "fc6", "fc6") + layer("drop6", "Dropout", "fc6", "fc6")
    + layer("fc7", "InnerProduct", "fc6", None, FC.format(40))
    + layer("relu7", "ReLU", "fc7", "fc7")
    + layer("score", "InnerProduct", "fc7", None, FC.format(3))
    + layer("box", "InnerProduct", "fc7", None, FC.format(12)) + layer("prob", "Softmax", "score"))
# How many layers with products are behind a blob's numbers
DEPTH = {"conv1": 1, "norm1": 1, "pool1": 1, "conv2": 2, "rpn_score": 3, "pool": 2, "fc6": 3,
         "fc7": 4, "score": 5, "box": 5}


def built(text, name):
    """The net of a text in a precision, filled alike for all precisions."""
    with precision(name):
        made = net(text, phase=caffe.TEST)
    fill(made)
    if "rois" in made.blobs:
        made.blobs["rois"].data[...] = [[0, 0, 0, 23, 23], [0, 3, 5, 20, 9], [0, 8, 8, 9, 9],
                                        [0, 0, 12, 11, 23]]
    return made


def blobs(made):
    """{name: array} of all blobs after a pass."""
    made.forward()
    return {name: blob.data.copy() for name, blob in made.blobs.items()}


@needs_bf16
def test_the_last_products_stay_float32():
    made = built(DETECTOR, "bf16")
    factors = {runner.name: runner.factors for runner in made._runners
               if runner.type in ("Convolution", "InnerProduct")}
    assert {name for name, kind in factors.items() if kind == torch.bfloat16} == {
        "conv1", "conv2", "fc6", "fc7"}
    assert {kind for name, kind in factors.items() if name in ("rpn_score", "score", "box")} == {
        torch.float32}
    assert all(blob.parameter.dtype == torch.float32 for layer_blobs in made.params.values()
               for blob in layer_blobs)


@needs_bf16
@pytest.mark.parametrize("planned", [True, False])
def test_numbers_like_those_of_float32(planned):
    exact = blobs(built(DETECTOR, "float32"))
    with planning(planned):
        made = built(DETECTOR, "bf16")
        made.forward()
        assert made.blobs["fc6"].values.as_is().dtype == torch.bfloat16
        # what a plan has let go is computed again in float32 when it is read
        made.forward()
        absent = {name for name in DEPTH if made.blobs[name].values.is_deferred}
        found = {name: blob.data.copy() for name, blob in made.blobs.items()}
    assert bool(absent) == planned and len(absent) < len(DEPTH)
    for name, depth in DEPTH.items():
        assert found[name].dtype == np.float32
        assert_close(found[name], exact[name], depth, name)
        if name not in absent:
            assert relative_error(found[name], exact[name]) > 1e-5, f"{name} is not of bf16"


@needs_bf16
def test_planned_like_unplanned():
    """BatchNorm is folded before weights are rounded, else after: two roundings of each layer."""
    with planning(False):
        exact = blobs(built(RESIDUAL, "bf16"))
    found = blobs(built(RESIDUAL, "bf16"))
    for name in exact:
        assert_close(found[name], exact[name], 4, name)


@needs_bf16
@pytest.mark.parametrize("name", HIDDEN)
def test_a_hidden_blob_is_float32_when_it_is_read(name):
    exact, made = blobs(built(RESIDUAL, "float32")), built(RESIDUAL, "bf16")
    made.forward()
    assert made.blobs[name].values.is_deferred
    assert made.blobs[name].data.dtype == np.float32
    assert_close(made.blobs[name].data, exact[name], 3, name)


@needs_bf16
def test_what_the_user_writes_into_a_map_counts():
    made = built(DETECTOR, "bf16")
    made.forward()
    array = made.blobs["conv2"].data
    array[...] = 1.2345         # no number of bfloat16
    made.forward(start="pool")
    assert (made.blobs["pool"].data == np.float32(1.2345)).all()
    made.forward()              # the user still has the array: it shows the newest values
    assert not (array == np.float32(1.2345)).any() and array is made.blobs["conv2"].data


@needs_bf16
def test_precision_is_that_of_the_moment_when_the_net_was_built():
    plain = built(DETECTOR, "float32")
    blobs(plain)                # no blob that was read is hidden again
    before = blobs(plain)
    half = built(DETECTOR, "bf16")
    half.share_with(plain)
    assert (plain.precision, half.precision, caffe.precision()) == ("float32", "bf16", "float32")
    half.forward()
    after = blobs(plain)
    assert all((before[name] == after[name]).all() for name in before)


def test_each_phase_has_its_own_precision(monkeypatch):
    monkeypatch.setattr(precision_module, "has_bf16", lambda device: True)
    with precision("bf16", caffe.TRAIN):
        assert caffe.precision(caffe.TRAIN) == "bf16" and caffe.precision() == "float32"
        assert net(DETECTOR, phase=caffe.TEST).precision == "float32"
        assert net(DETECTOR, phase=caffe.TRAIN).precision == "bf16"
    assert net(DETECTOR, phase=caffe.TRAIN).precision == "float32"


@pytest.mark.parametrize("name, words", [
    ("bf61", 'precision "bf61" is unknown (did you mean "bf16"?); there are float32 and bf16'),
    ("int3", 'precision "int3" is unknown; there are float32 and bf16')])
def test_an_unknown_precision_is_one_line(name, words):
    with pytest.raises(CaffeError) as caught:
        caffe.set_precision(name)
    assert str(caught.value) == words and caffe.precision() == "float32"


def test_without_instructions_for_bf16_nets_are_float32_and_say_so_once(monkeypatch, caplog):
    monkeypatch.setattr(precision_module, "has_bf16", lambda device: False)
    precision_module._warn.cache_clear()
    with precision("bf16"), caplog.at_level(logging.WARNING):
        made = [net(DETECTOR, phase=caffe.TEST) for _ in range(2)]
    precision_module._warn.cache_clear()
    assert [each.precision for each in made] == ["float32"] * 2
    assert caplog.messages == [
        "precision bf16: this processor has no instructions for bf16 and would be slower with it, "
        "so nets compute in float32"]
