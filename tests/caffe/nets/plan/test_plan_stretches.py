"""Stretches of a plan: when their operators are replayed, and that nobody notices."""
import numpy as np
import pytest
from net_texts import input_layer, layer, net
from planned import RESIDUAL, assert_near, assert_same, conv, fill, unplanned

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


@pytest.mark.parametrize("text", [RESIDUAL, BRANCHES], ids=["residual", "branches"])
def test_the_fourth_pass_is_replayed(text, runs):
    built = ready(text, runs)
    for seed in range(3):
        built.blobs["data"].data[...] = np.random.default_rng(seed).normal(
            size=built.blobs["data"].shape)
        found = {name: array.copy() for name, array in built.forward().items()}
        assert not runs
        assert_same(built, unplanned(built), found)
        for name, array in found.items():
            assert_near(array, built.blobs[name].data, name)


def test_blobs_read_after_a_replay_are_those_of_the_pass(runs):
    built = ready(BRANCHES, runs)
    built.blobs["data"].data[...] = 3
    built.forward()
    assert not runs
    found = {name: blob.data.copy() for name, blob in built.blobs.items()}
    expected = unplanned(built)
    for name, array in found.items():
        assert_near(array, expected[name], name)


def test_other_shapes_are_run_and_recorded_again(runs):
    built = ready(BRANCHES, runs)
    for size in (7, 9):
        built.blobs["data"].reshape(1, 16, size, size)
        built.blobs["data"].data[...] = size
        for count in range(4):
            runs.clear()
            built.forward()
            assert bool(runs) == (count < 2)
        assert_same(built, unplanned(built), ["prob"])


def test_a_parameter_that_was_written_to_counts(runs):
    built = ready(BRANCHES, runs)
    built.params["last"][0].data[...] = 0.5
    built.forward()
    assert runs
    assert_same(built, unplanned(built), ["prob"])


def test_a_held_array_of_a_blob_that_is_let_go_gets_its_values(runs):
    built = ready(BRANCHES, runs)
    array = built.blobs["left"].data
    for value in (1, 2, 3, 4, 5):
        built.blobs["data"].data[...] = value
        built.forward()
        kept = array.copy()
        assert_near(kept, unplanned(built)["left"], f"value {value}")


def test_an_array_of_an_output_is_no_hindrance(runs):
    built = ready(BRANCHES, runs)
    outputs = built.forward()
    built.blobs["data"].data[...] = 2
    built.forward()
    assert not runs
    assert_near(outputs["prob"], unplanned(built)["prob"])


def test_layers_of_the_user_end_a_stretch(runs):
    text = (input_layer("data", 1, 16, 9, 9) + conv("first", "data", 16)
            + conv("second", "first", 8)
            + layer("times", "Python", "second", None,
                    f'python_param {{ module: "{__name__}" layer: "Twice" }}')
            + conv("third", "times", 8) + conv("fourth", "third", 4))
    built = ready(text, runs)
    built.blobs["data"].data[...] = 2
    built.forward()
    assert not runs
    assert_same(built, unplanned(built), ["times", "fourth"])
