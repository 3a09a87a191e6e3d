"""Stretches of a plan: when their operators are replayed, and that nobody notices."""
import numpy as np
import pytest
from net_texts import input_layer, layer, net
from planned import RESIDUAL, assert_near, assert_same, conv, fill, outputs, unplanned

import caffe
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
            + layer("times", "Python", "second", None,
                    f'python_param {{ module: "{__name__}" layer: "Twice" }}')
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
