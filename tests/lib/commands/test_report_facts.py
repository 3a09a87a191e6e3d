"""The facts of a test: settings that differ, from the test and from the steps before it."""
import sys
from types import SimpleNamespace

from faster_rcnn.commands.report_facts import changed_settings, facts_of_test
from faster_rcnn.runs.history import TrainedStep
from faster_rcnn.settings.config import DEFAULTS, cfg, cfg_override


def step(name, **settings):
    return TrainedStep(name, None, {}, {f"TRAIN.{key}": value for key, value in settings.items()},
                       [])


def test_settings_that_differ_have_value_and_default():
    assert changed_settings([]) == []
    with cfg_override(TEST={"NMS": 0.5}, EXP_DIR="elsewhere"):
        assert changed_settings([]) == [("TEST.NMS", 0.5, 0.3)]


def test_settings_of_steps_are_joined_where_they_are_equal():
    steps = [step("a", MAX_SIZE=320, BATCH_SIZE=128, HAS_RPN=True),
             step("b", MAX_SIZE=320, BATCH_SIZE=64)]
    assert changed_settings(steps) == [
        ("TRAIN.BATCH_SIZE", "a: 128, b: 64", 128), ("TRAIN.HAS_RPN", True, False),
        ("TRAIN.MAX_SIZE", 320, 1000)]
    assert changed_settings([step("a", GONE=1)]) == [("TRAIN.GONE", 1, None)]


def test_defaults_do_not_change_with_the_settings():
    with cfg_override(TEST={"NMS": 0.5}):
        assert cfg.TEST.NMS == 0.5 and DEFAULTS.TEST.NMS == 0.3


def test_the_facts_name_files_and_versions(tmp_path, monkeypatch):
    weights = tmp_path / "x.caffemodel"
    weights.write_bytes(b"")
    monkeypatch.setattr(sys, "argv", ["tools/test_net.py", "--imdb", "a b"])
    facts = facts_of_test(SimpleNamespace(name="Tiny"), "t.pt", str(weights), 2.0, 40)
    rows = dict(facts.rows)
    assert facts.title == "Tiny" and facts.command == "tools/test_net.py --imdb 'a b'"
    assert rows["Net"] == "Tiny, t.pt" and rows["Detection"].startswith("40 images in 2.0 s")
    assert "e3b0c44298fc" in rows["Weights"]        # of an empty file
    assert "PyTorch" in rows["Versions"] and rows["Device"].startswith("CPU")
    assert facts.steps == []
