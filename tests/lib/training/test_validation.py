"""Validation while training: what is kept, when training ends, what is written."""
import json
import os

import numpy as np
import pytest
from small_training import Killed, killed_after, seed

from caffe.files import weights
from faster_rcnn.runs.curves import Curves
from faster_rcnn.settings.config import cfg_override
from faster_rcnn.training.train_net import train_net
from faster_rcnn.training.validation import Validation

MISSING = 'layer { name: "other" type: "InnerProduct" bottom: "data" top: "other" ' \
          'inner_product_param { num_output: 2 } }'
TEST_NET = """
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {
  num_output: 4 kernel_size: 5 stride: 4 pad: 2 } }
"""


class Noise:
    name = "noise_val"


@pytest.fixture
def validation(tmp_path, monkeypatch):
    """validation(values): a Validation whose results are given; `seen` gets the weights tested."""
    (tmp_path / "test.pt").write_text(TEST_NET)

    def make(values):
        made = Validation(str(tmp_path / "test.pt"), Noise(), "val")
        results, made.seen = iter(values), []

        def tested(net, imdb):
            assert imdb.name == "noise_val" and net.name == "val"
            made.seen.append(net.params["conv"][0].data.copy())
            return {"mean_ap": next(results)}
        monkeypatch.setattr("faster_rcnn.training.validation.test_net", tested)
        return made
    return make


def train(make, roidb, folder, validation, iterations=8, **more):
    return train_net(make("rpn"), roidb, str(folder), max_iters=iterations, validation=validation,
                     **more)


def test_the_best_weights_are_kept(make, settings, roidb, tmp_path, validation):
    judge = validation([0.2, 0.5, 0.4])
    with settings("rpn", VAL_ITERS=3):
        train(make, roidb, tmp_path / "out", judge)
    assert sorted(os.listdir(tmp_path / "out")) == [
        "tiny_best.caffemodel", "tiny_curves.jsonl", "tiny_iter_8.caffemodel"]
    best, last = (weights.read_weights(str(tmp_path / "out" / name)) for name in
                  ("tiny_best.caffemodel", "tiny_iter_8.caffemodel"))
    # at iterations 3, 6 and, because it is the last, 8
    assert len(judge.seen) == 3 and (judge.best, judge.best_iteration) == (0.5, 6)
    assert np.array_equal(best["conv"][0], judge.seen[1])
    assert np.array_equal(last["conv"][0], judge.seen[2])
    assert not np.array_equal(judge.seen[0], judge.seen[1])
    lines = [json.loads(line) for line in open(tmp_path / "out" / "tiny_curves.jsonl")]
    assert lines == [{"iteration": 3, "mean_ap": 0.2}, {"iteration": 6, "mean_ap": 0.5},
                     {"iteration": 8, "mean_ap": 0.4}]


def test_training_does_not_notice_validation(make, settings, roidb, tmp_path, validation):
    with settings("rpn", VAL_ITERS=2):
        seed()
        plain, = train(make, roidb, tmp_path / "plain", None)
        seed()
        validated, = train(make, roidb, tmp_path / "validated", validation([0.1] * 4))
    assert open(plain, "rb").read() == open(validated, "rb").read()


def test_patience_ends_the_training(make, settings, roidb, tmp_path, validation):
    judge = validation([0.3, float("nan"), 0.3, 0.9])
    with settings("rpn", VAL_ITERS=2, VAL_PATIENCE=2, SNAPSHOT_ITERS=2):
        paths = train(make, roidb, tmp_path / "out", judge, iterations=100)
    assert [os.path.basename(path) for path in paths] == [
        f"tiny_iter_{n}.caffemodel" for n in (2, 4, 6)]
    assert (judge.best, judge.best_iteration, judge.waited) == (0.3, 2, 2)


def test_an_interrupted_training_remembers(make, settings, roidb, tmp_path, monkeypatch,
                                           validation):
    results = [0.3, 0.2, 0.1]
    with settings("rpn", VAL_ITERS=2, CHECKPOINT_ITERS=3, CURVE_ITERS=1, VAL_PATIENCE=2):
        first = validation(results)
        killed_after(monkeypatch, 5)
        with pytest.raises(Killed):
            train(make, roidb, tmp_path / "out", first)
        # continues behind iteration 3, and validates at 4 and 6
        second = validation(results[1:])
        paths = train(make, roidb, tmp_path / "out", second, iterations=20, resume=True)
    assert os.path.basename(paths[-1]) == "tiny_iter_6.caffemodel"
    assert (second.best, second.best_iteration) == (0.3, 2)
    points = [json.loads(line) for line in open(tmp_path / "out" / "tiny_curves.jsonl")]
    assert [p["iteration"] for p in points if "loss" in p] == [1, 2, 3, 4, 5, 6]
    assert [p["iteration"] for p in points if "mean_ap" in p] == [2, 4, 6]
    assert {"rate", "loss/loss_cls", "loss/loss_bbox"} <= set(points[0])


def test_layers_that_would_never_learn(make, settings, roidb, tmp_path, validation):
    judge = validation([])
    (tmp_path / "test.pt").write_text(TEST_NET + MISSING)
    with settings("rpn"), pytest.raises(ValueError, match="never learn: other .TRAIN.VAL_NET."):
        train(make, roidb, tmp_path, judge)


def test_a_split_without_annotations(make, settings, roidb, tmp_path, validation, monkeypatch):
    judge = validation([])
    monkeypatch.setattr("faster_rcnn.training.validation.test_net", lambda net, imdb: None)
    with settings("rpn", VAL_ITERS=1), pytest.raises(ValueError, match="noise_val has no annot"):
        train(make, roidb, tmp_path, judge)


def test_curves_of_a_new_training_replace_old_ones(tmp_path):
    path = tmp_path / "net_curves.jsonl"
    path.write_text('{"iteration": 7, "loss": 1.0}\n{"iteration": 9, "lo')
    for first, kept in ((8, [7, 10]), (0, [10])):
        curves = Curves(str(tmp_path / "net"), first)
        curves.add(10, loss=float("nan"))
        curves.close()
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert [line["iteration"] for line in lines] == kept and lines[-1]["loss"] is None


def test_tensorboard_gets_the_same_numbers(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    with cfg_override(TRAIN={"TENSORBOARD": True}):
        curves = Curves(str(tmp_path / "net"), 0)
        curves.add(5, mean_ap=0.25)
        curves.add(10, mean_ap=0.5)
        curves.close()
    events = EventAccumulator(str(tmp_path / "net_events")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("mean_ap")] == [(5, 0.25), (10, 0.5)]
