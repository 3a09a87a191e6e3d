"""Stretches of a plan: when their operators are replayed, and that nobody notices."""
import numpy as np
import pytest
from half_bytes import needs_bf16, precision
from net_texts import input_layer, layer, net
from planned import RESIDUAL, assert_near, assert_same, conv, fill, outputs, unplanned

import caffe
from caffe.nets.plan.planner import _PATIENCE
from caffe.nets.plan.steps import ChainStep
from caffe.operators.registration import are_compiled

pytestmark = pytest.mark.skipif(not are_compiled(), reason="plain operators are not recorded")
UNTIL_REPLAYED = 3      # the first pass, one that finds the plan, one that is recorded
BRANCHES = (input_layer("data", 1, 16, 9, 9) + conv("left", "data", 16) + conv("right", "data", 8)
            + layer("both", "Concat", "left right") + layer("drop", "Dropout", "both", "both")
            + conv("last", "both", 4) + layer("mean", "Pooling", "last", None,
                                              "pooling_param { pool: AVE global_pooling: true }")
            + layer("prob", "Softmax", "mean"))


class Twice(caffe.Layer):
    """Doubles its bottom, as a program's own layer would."""

    def setup(self, bottom, top):
        pass

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        top[0].data[...] = 2 * bottom[0].data

    def backward(self, top, propagate_down, bottom):
        pass


class Mirrored(caffe.TensorLayer):
    """Its bottom twice; the second negated, if `negates`."""

    negates = False

    def reshape(self, bottom, top):
        for blob in top:
            blob.reshape(*bottom[0].shape)

    def forward(self, x):
        return x, -x if self.negates else x


def python_layer(name, bottom, tops, kind):
    return layer(name, "Python", bottom, tops,
                 f'python_param {{ module: "{__name__}" layer: "{kind.__name__}" }}')


@pytest.fixture
def runs(monkeypatch):
    """The names of the hosts whose chains Python runs."""
    names, run = [], ChainStep.run

    def noted(step):
        names.append(step.chain.host.name)
        return run(step)
    monkeypatch.setattr(ChainStep, "run", noted)
    return names


def ready(text, runs):
    """A net whose next pass is replayed."""
    made = net(text, phase=caffe.TEST)
    fill(made)
    for _ in range(UNTIL_REPLAYED):
        made.forward()
    runs.clear()
    return made


def set_data(built, seed):
    built.blobs["data"].data[...] = np.random.default_rng(seed).normal(
        size=built.blobs["data"].shape)


@pytest.mark.parametrize("text", [RESIDUAL, BRANCHES], ids=["residual", "branches"])
def test_the_fourth_pass_is_replayed(text, runs):
    built, twin = ready(text, runs), net(text, phase=caffe.TEST)
    fill(twin)
    for seed in range(3):
        for each in (built, twin):
            set_data(each, seed)
        expected = unplanned(twin)
        for name, array in outputs(built).items():
            assert_near(array, expected[name], name)
        assert not runs


def test_blobs_read_after_a_replay_are_those_of_the_pass(runs):
    built = ready(BRANCHES, runs)
    set_data(built, 1)
    expected = unplanned(built)
    built.forward()
    assert not runs
    assert_same(built, expected)


def test_other_shapes_are_run_and_recorded_again(runs):
    built = ready(BRANCHES, runs)
    for size in (7, 9):
        built.blobs["data"].reshape(1, 16, size, size)
        set_data(built, size)
        expected = unplanned(built)
        for count in range(4):
            runs.clear()
            built.forward()
            assert bool(runs) == (count < 2)
            assert_same(built, expected, ["prob"])


def test_a_parameter_that_was_written_to_counts(runs):
    built = ready(BRANCHES, runs)
    built.params["last"][0].data[...] = 0.5
    expected = unplanned(built)
    built.forward()
    assert runs
    assert_same(built, expected, ["prob"])


def test_a_held_array_of_a_blob_that_is_let_go_gets_its_values(runs):
    built = ready(BRANCHES, runs)
    array = built.blobs["left"].data
    for seed in range(5):
        set_data(built, seed)
        expected = unplanned(built)
        array[...] = 0
        built.forward()
        assert_near(array, expected["left"], f"pass {seed}")


def test_an_array_of_an_output_is_no_hindrance(runs):
    built = ready(BRANCHES, runs)
    held = built.forward()
    set_data(built, 2)
    expected = unplanned(built)
    held["prob"][...] = 0
    built.forward()
    assert not runs
    assert_near(held["prob"], expected["prob"])


def test_layers_of_the_user_end_a_stretch(runs):
    text = (input_layer("data", 1, 16, 9, 9) + conv("first", "data", 16)
            + conv("second", "first", 8)
            + python_layer("times", "second", "times", Twice)
            + conv("third", "times", 8) + conv("fourth", "third", 4))
    built = ready(text, runs)
    set_data(built, 2)
    expected = unplanned(built)
    built.forward()
    assert not runs
    assert_same(built, expected, ["times", "fourth"])


def test_a_concat_whose_parts_come_from_two_stretches(runs):
    text = (input_layer("data", 1, 16, 9, 9) + conv("left", "data", 16)
            + conv("sloped", "data", 8) + layer("slope", "PReLU", "sloped", "sloped")
            + layer("both", "Concat", "data left sloped") + layer("relu", "ReLU", "both", "both")
            + conv("last", "both", 4))
    built = ready(text, runs)
    for seed in range(3):
        set_data(built, seed)
        expected = unplanned(built)
        built.forward()
        assert_same(built, expected, ["last"])


def test_bottoms_that_were_one_tensor_and_are_two():
    text = (input_layer("data", 1, 8, 6, 6) + python_layer("two", "data", "same other", Mirrored)
            + conv("left", "same", 8) + conv("right", "other", 8)
            + layer("both", "Concat", "left right") + conv("last", "both", 4))
    built = net(text, phase=caffe.TEST)
    fill(built)
    for negates in (False, True):
        built.layer_dict["two"].negates = negates
        expected = unplanned(built)
        for _ in range(UNTIL_REPLAYED + 1):
            built.forward()
            assert_same(built, expected, ["last"])


def test_a_shape_that_cannot_be_recorded_does_not_hinder_others(runs):
    text = (input_layer("data", 1, 8, 6, 6) + python_layer("two", "data", "same other", Mirrored)
            + conv("left", "same", 8) + conv("right", "other", 8)
            + layer("both", "Concat", "left right") + conv("last", "both", 4))
    built = ready(text, runs)
    built.forward()
    assert runs
    built.layer_dict["two"].negates = True
    built.blobs["data"].reshape(1, 8, 5, 5)
    for _ in range(UNTIL_REPLAYED):
        runs.clear()
        built.forward()
    assert not runs


def test_rois_that_are_none_for_some_passes(runs):
    text = (input_layer("data", 1, 8, 6, 6) + input_layer("rois", 3, 5) + conv("map", "data", 8)
            + layer("pooled", "ROIPooling", "map rois", None,
                    "roi_pooling_param { pooled_h: 3 pooled_w: 3 spatial_scale: 1 }")
            + layer("fc", "InnerProduct", "pooled", None, "inner_product_param { num_output: 9 }")
            + layer("relu", "ReLU", "fc", "fc") + layer("drop", "Dropout", "fc", "fc")
            + layer("score", "InnerProduct", "fc", None, "inner_product_param { num_output: 4 }"))
    built = net(text, phase=caffe.TEST)
    fill(built)
    for count in (3, 0, 3):
        built.blobs["rois"].reshape(count, 5)
        built.blobs["rois"].data[...] = [0, 1, 1, 4, 4]
        expected = unplanned(built)
        for _ in range(UNTIL_REPLAYED + 1):
            runs.clear()
            built.forward()
            assert_same(built, expected, ["score"])
        assert not (count and runs)


@needs_bf16
def test_a_blob_of_bf16_that_becomes_float32_does_so_in_a_replay():
    """The average reads what the softmax, of another stretch, has converted."""
    text = (input_layer("data", 1, 8, 6, 6) + conv("first", "data", 8) + conv("map", "first", 8)
            + conv("next", "map", 8) + layer("most", "ArgMax", "data")
            + layer("prob", "Softmax", "map") + conv("then", "next", 8) + conv("last", "then", 8)
            + layer("least", "ArgMax", "data")
            + layer("mean", "Pooling", "map", None, "pooling_param { pool: AVE kernel_size: 2 }")
            + layer("max", "Pooling", "map", None, "pooling_param { kernel_size: 3 }"))
    with precision("bf16"):
        built = net(text, phase=caffe.TEST)
    fill(built)
    expected = outputs(built)
    for _ in range(UNTIL_REPLAYED + 1):
        for name, array in outputs(built).items():
            np.testing.assert_array_equal(array, expected[name], name)


def test_what_is_kept_of_a_replay_is_not_copied(runs):
    """For "bn", which is hidden, the plan keeps the bottom of its chain."""
    text = (input_layer("data", 1, 8, 6, 6) + conv("first", "data", 8) + conv("kept", "first", 8)
            + conv("conv", "kept", 8) + layer("bn", "BatchNorm", "conv", None)
            + layer("relu", "ReLU", "bn", "bn") + conv("last", "bn", 4))
    built = ready(text, runs)
    built._planner._absent.times = _PATIENCE    # from now on the plan keeps what it computes
    for _ in range(UNTIL_REPLAYED):
        built.forward()
    runs.clear()
    built.forward()
    assert "kept" not in runs
    memory = built.blobs["kept"].values
    assert built._planner._absent._kept[id(memory)] is memory.as_is()
    expected = unplanned(built)
    built.forward()
    assert_same(built, expected)
