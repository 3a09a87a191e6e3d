"""Blobs that a planned pass lets go: each is right when it is read, as if it were still there."""
import gc
import weakref

import numpy as np
import pytest
import torch
from net_texts import input_layer, layer, net
from planned import (
    RESIDUAL,
    assert_near,
    assert_same,
    conv,
    fill,
    planning,
    training_and_test_net,
    unplanned,
)

import caffe
from caffe.proto.caffe_pb2 import SolverParameter
from caffe.solvers.updates import SGD, Updater

LET_GO = ("first", "relu", "fc")
LEFT_OUT = ("conv", "bn", "scale", "sum", *LET_GO)


@pytest.fixture
def built():
    made = net(RESIDUAL, phase=caffe.TEST)
    fill(made)
    return made


@pytest.fixture
def expected(built):
    """The blobs of a pass layer by layer; after it, two planned ones."""
    found = unplanned(built)
    built.forward()
    built.forward()
    return found


def absent(built):
    return {name for name, blob in built.blobs.items()
            if blob.values.is_deferred and "_split_" not in name}


def test_the_second_pass_lets_go_all_that_nobody_reads(built, expected):
    assert absent(built) == set(LEFT_OUT)
    assert {name: blob.shape for name, blob in built.blobs.items()} == \
        {name: array.shape for name, array in expected.items()}
    assert absent(built) == set(LEFT_OUT)


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_blob_is_computed_when_it_is_read(built, expected, name):
    assert_near(built.blobs[name].data, expected[name])
    built.forward()
    assert absent(built) == set(LEFT_OUT) - {name}
    assert_same(built, expected)


def test_what_is_read_after_the_first_pass_stays(built):
    built.forward()
    built.blobs["fc"].data.sum(), built.blobs["first"].tensor.sum()
    built.forward()
    assert absent(built) == set(LEFT_OUT) - {"fc", "first"}
    assert built._planner._absent.times == 0


def test_blobs_that_a_pass_is_asked_for(built):
    expected = unplanned(built)
    for _ in range(4):
        found = built.forward(blobs=["first", "fc"])
        assert_near(found["first"], expected["first"])
        assert_near(found["fc"], expected["fc"])
    assert built._planner._absent.times == 0


def test_a_blob_is_that_of_the_last_pass_whatever_was_written_since(built, expected):
    built.blobs["data"].data[...] = 7
    built.params["first"][0].data[...] = 0
    built.params["bn"][1].data[...] = 9
    built.params["fc"][0].tensor.detach().zero_()
    assert_same(built, expected, LEFT_OUT)


def test_parameters_that_somebody_has_a_tensor_of(built):
    weight = built.params["first"][0].tensor.detach()
    expected = unplanned(built)
    built.forward()
    built.forward()
    weight.zero_()
    assert_same(built, expected, LEFT_OUT)


def test_parameters_that_somebody_has_an_array_of(built):
    weight = built.params["first"][0].data
    expected = unplanned(built)
    built.forward()
    built.forward()
    weight[...] = 0
    assert_same(built, expected, LEFT_OUT)


def test_other_weights_are_loaded(built, expected, tmp_path):
    other = net(RESIDUAL, phase=caffe.TEST)
    fill(other, seed=5)
    other.save(str(tmp_path / "other.caffemodel"))
    built.copy_from(str(tmp_path / "other.caffemodel"))
    assert_same(built, expected, LEFT_OUT)


def test_weights_of_another_net_are_shared_and_change(built, expected):
    other = net(RESIDUAL, phase=caffe.TEST)
    fill(other, seed=5)
    built.share_with(other)
    assert_same(built, expected, LEFT_OUT)
    again = unplanned(built)
    built.forward()
    other.params["first"][0].data[...] *= -1
    assert_same(built, again, LEFT_OUT)


def test_a_training_net_that_shares_the_weights_learns():
    train, test = training_and_test_net()
    expected = unplanned(test)
    test.forward()
    train.forward()
    train.backward()
    Updater(SGD(SolverParameter(momentum=0.9)), train.learnables).apply(0.1, 0)
    assert_near(test.blobs["fc"].data, expected["fc"])
    assert not np.array_equal(unplanned(test)["fc"], expected["fc"])


def test_an_array_that_is_held_shows_later_passes(built, expected):
    array = built.blobs["first"].data
    built.blobs["data"].data[...] *= 2
    built.forward()
    assert "first" not in absent(built)
    assert_near(array, unplanned(built)["first"])


def test_a_blob_can_be_written(built, expected):
    built.blobs["first"].data[...] = 1.5
    assert (built.blobs["first"].data == 1.5).all()
    assert_near(built.blobs["fc"].data, expected["fc"])


@pytest.mark.parametrize("start", ["relu0", "scale", "sum", "relu", "fc", "prob"])
def test_a_pass_from_any_layer(built, expected, start):
    assert_near(built.forward(start=start)["prob"], expected["prob"])
    assert_same(built, expected)


def test_a_net_that_is_used_in_parts_keeps_its_blobs(built, expected):
    for _ in range(5):
        built.forward()
        assert_near(built.forward(start="fc")["prob"], expected["prob"])
    built.forward()
    assert not absent(built) & set(LET_GO)
    built.params["first"][0].data[...] *= 2
    assert_same(built, expected)


def test_another_shape_costs_no_pass(built, expected):
    built.blobs["data"].reshape(1, 3, 9, 11)
    built.reshape()
    assert built._planner._absent.times == 0
    built.forward()
    assert_same(built, unplanned(built))


def test_a_smaller_shape_keeps_the_first_values(built, expected):
    built.blobs["relu"].reshape(1, 8, 9, 11)
    assert built.blobs["relu"].shape == (1, 8, 9, 11)
    assert_near(built.blobs["relu"].data, expected["relu"][:1])


def test_a_larger_shape_begins_with_zeros(built, expected):
    built.blobs["relu"].reshape(3, 8, 9, 11)
    assert not built.blobs["relu"].data.any()


def test_a_pass_that_fails_leaves_zeros(built, expected):
    built.blobs["data"].reshape(2, 4, 9, 11)
    with pytest.raises(caffe.CaffeError, match="channels"):
        built.forward()
    assert not built.blobs["fc"].data.any()
    built.blobs["data"].reshape(2, 3, 9, 11)
    built.reshape()
    fill(built)
    built.forward()
    assert_same(built, expected)


def test_from_what_a_layer_that_draws_made():
    built = net(input_layer("data", 2, 3, 8, 8) + conv("conv1", "data")
                + layer("noise", "Dropout", "conv1", None,
                        "dropout_param { sample_weights_test: true }")
                + conv("conv2", "noise") + layer("relu", "ReLU", "conv2") + conv("conv3", "relu"),
                phase=caffe.TEST)
    fill(built)
    for _ in range(3):
        built.forward()
    assert "conv2" in absent(built) and "noise" not in absent(built)
    with torch.no_grad():
        noise = built.blobs["noise"].data.copy()
    found = built.blobs["relu"].data.copy()
    with planning(False):
        built.blobs["noise"].data[...] = noise
        built.forward(start="conv2")
        assert_near(found, built.blobs["relu"].data)


def test_statistics_of_the_batch_are_counted_once():
    built = net(input_layer("data", 2, 3, 8, 8)
                + layer("bn", "BatchNorm", "data", None, "batch_norm_param { use_global_stats: "
                        "false }") + conv("conv1", "bn") + conv("conv2", "conv1"),
                phase=caffe.TEST)
    fill(built)
    for _ in range(2):
        built.forward()
    counted = [blob.data.copy() for blob in built.params["bn"]]
    assert "conv1" in absent(built)
    assert built.blobs["conv1"].data.any() and built.blobs["bn"].data.any()
    assert all(np.array_equal(blob.data, array)
               for blob, array in zip(built.params["bn"], counted))


def test_a_blob_that_outlives_its_net(expected):
    made = net(RESIDUAL, phase=caffe.TEST)
    fill(made)
    made.forward()
    made.forward()
    blob = made.blobs["relu"]
    del made
    assert_near(blob.data, expected["relu"])


def test_nets_are_freed_at_once():
    made = net(RESIDUAL, phase=caffe.TEST)
    fill(made)
    made.forward()
    made.forward()
    weights = weakref.ref(made.params["conv"][0].values)
    gc.disable()
    try:
        del made
        assert weights() is None
    finally:
        gc.enable()


def test_the_memory_of_a_deep_net():
    """Of twenty maps, two or three are there at a time."""
    depth, size = 20, 4 * 8 * 64 * 64
    text = input_layer("data", 1, 8, 64, 64)
    for i in range(depth):
        text += conv(f"conv{i}", f"conv{i - 1}" if i else "data")
    built = net(text, phase=caffe.TEST)
    fill(built)
    built.forward()
    built.forward()
    there = [name for name, blob in built.blobs.items() if not blob.values.is_deferred]
    assert there == ["data", f"conv{depth - 1}"]
    assert sum(built.blobs[name].values.get().nbytes for name in there) == 2 * size
