"""The training behind some weights: which record is theirs, and what a report can draw of it."""
import json

import pytest

from faster_rcnn.runs.history import read_points, steps_behind
from faster_rcnn.runs.manifest import Manifest


@pytest.fixture
def trained(tmp_path):
    """A record of two steps, with curves of the first, and the final copy of the weights."""
    (tmp_path / "tiny_stage1_iter_30.caffemodel").write_bytes(b"first")
    (tmp_path / "last_iter_9.caffemodel").write_bytes(b"last")
    (tmp_path / "Tiny_final.caffemodel").write_bytes(b"last")
    manifest = Manifest(str(tmp_path / "Tiny_alt_opt.json"), keep=False)
    for name, output, figures in (("stage1_rpn", "tiny_stage1_iter_30.caffemodel",
                                   {"iterations": 30, "seconds": 8.5}),
                                  ("stage2", "last_iter_9.caffemodel", {})):
        manifest.begin(name, {"settings": {"TRAIN.MAX_SIZE": 320}})
        manifest.finish(name, str(tmp_path / output), figures)
    (tmp_path / "tiny_stage1_curves.jsonl").write_text(
        '{"iteration": 20, "loss": 1.5}\n{"iteration": 10, "loss": null}\n{"iteration": 30, "lo')
    return tmp_path


def test_the_steps_of_the_weights_with_their_curves(trained):
    first, second = steps_behind(str(trained / "Tiny_final.caffemodel"))
    assert (first.name, first.seconds, first.figures) == ("stage1_rpn", 8.5, {"iterations": 30})
    assert first.settings == {"TRAIN.MAX_SIZE": 320}
    assert first.points == [{"iteration": 10, "loss": None}, {"iteration": 20, "loss": 1.5}]
    assert (second.name, second.seconds, second.points) == ("stage2", None, [])


def test_weights_that_no_record_knows_have_no_history(trained):
    (trained / "other.caffemodel").write_bytes(b"downloaded")
    (trained / "broken.json").write_text("{")
    (trained / "else.json").write_text('[{"image": 1}]')
    assert steps_behind(str(trained / "other.caffemodel")) == []


def test_the_best_weights_belong_to_the_record_of_their_prefix(tmp_path):
    (tmp_path / "tiny_best.caffemodel").write_bytes(b"best")
    manifest = Manifest(str(tmp_path / "tiny_train.json"), keep=False)
    manifest.begin("train", {})
    (tmp_path / "tiny_curves.jsonl").write_text('{"iteration": 10, "mean_ap": 0.5}\n')
    step, = steps_behind(str(tmp_path / "tiny_best.caffemodel"))
    assert step.points == [{"iteration": 10, "mean_ap": 0.5}] and step.settings == {}


def test_lines_that_are_no_points_are_left_out(tmp_path):
    path = tmp_path / "x_curves.jsonl"
    lines = ["[]", "7", '{"loss": 1}', '{"iteration": "a"}', '{"iteration": true}', "", "{" * 9999,
             json.dumps({"iteration": 5}), '{"iteration": NaN}']
    path.write_bytes("\n".join(lines).encode() + b"\n\xff\xfe")
    assert read_points(str(path)) == [{"iteration": 5}]
    assert read_points(str(tmp_path)) == [] and read_points(str(tmp_path / "none")) == []
