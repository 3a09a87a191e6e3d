"""Options that all tools share, and how errors reach the user."""
import argparse
import sys

import pytest

from caffe.core.errors import PrototxtError
from faster_rcnn.commands import options, start, tool, values
from faster_rcnn.settings.config import cfg, cfg_override


@pytest.fixture
def parser():
    made = options.parser_for("A tool.", "")
    options.add_common_args(made, "voc_2007_test")
    return made


@pytest.mark.parametrize("words,gpu", (([], 0), (["--gpu", "3"], 3), (["--gpu", "cpu"], "cpu"),
                                       (["--cpu"], "cpu"), (["--gpu", "1", "--cpu"], "cpu"),
                                       (["--cpu", "--gpu", "1"], "cpu")))
def test_gpu_or_cpu(parser, words, gpu):
    assert parser.parse_args(words).gpu_id == gpu


def test_defaults_are_those_of_the_original(parser):
    args = parser.parse_args([])
    assert (args.gpu_id, args.cfg_file, args.imdb_name, args.set_cfgs) == (0, None,
                                                                           "voc_2007_test", None)


def test_set_takes_the_rest(parser):
    args = parser.parse_args(["--cpu", "--set", "EXP_DIR", "foo", "TRAIN.SCALES", "[400, 500]"])
    assert args.set_cfgs == ["EXP_DIR", "foo", "TRAIN.SCALES", "[400, 500]"]


@pytest.mark.parametrize("words", (["--gpu", "x"], ["--scale", "0"], ["--scale", "1,2,3"]))
def test_bad_words_end_with_status_2(parser, words):
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(words)
    assert stop.value.code == 2


def test_settings_file_then_scale_then_set(parser, tmp_path):
    path = tmp_path / "settings.yml"
    path.write_text("TRAIN:\n  SCALES: [300]\n  MAX_SIZE: 700\nEXP_DIR: from_file\n")
    args = parser.parse_args(["--cpu", "--cfg", str(path), "--scale", "480,800", "--set",
                              "EXP_DIR", "from_set", "TEST.SCALES", "[500]"])
    with cfg_override():
        start.apply_settings(args)
        assert (list(cfg.TRAIN.SCALES), cfg.TRAIN.MAX_SIZE) == ([480], 800)
        assert (list(cfg.TEST.SCALES), cfg.TEST.MAX_SIZE) == ([500], 800)
        assert cfg.EXP_DIR == "from_set"


@pytest.mark.parametrize("scale,cap", (("480", 1000), ("900", 1500)))
def test_a_scale_alone_leaves_room_for_the_longer_side(parser, scale, cap):
    with cfg_override():
        start.apply_settings(parser.parse_args(["--cpu", "--scale", scale]))
        assert cfg.TRAIN.MAX_SIZE == cfg.TEST.MAX_SIZE == cap


@pytest.mark.parametrize("text,expected", (("4,3,2,1", (4, 3, 2, 1)), ("7", (7,) * 4)))
def test_a_value_per_step(text, expected):
    assert values.per_step(int, 4)(text) == expected


@pytest.mark.parametrize("text", ("1,2", "0", "a", "", "1,2,3,-4", "1.5"))
def test_a_value_per_step_refuses(text):
    with pytest.raises(argparse.ArgumentTypeError):
        values.per_step(int, 4)(text)


@pytest.mark.parametrize("text,value", (("False", False), ("0", False), ("no", False),
                                        ("True", True), ("1", True)))
def test_flag_reads_words(text, value):
    assert values.flag(text) is value


@pytest.mark.parametrize("error,text", (
    (ValueError("two\n  lines"), "two lines"), (KeyError("the key"), "the key"),
    (PrototxtError("a.pt:3:1: wrong"), "a.pt:3:1: wrong"),
    (FileNotFoundError("x does not exist"), "x does not exist")))
def test_user_errors_are_one_line_and_status_2(error, text, capsys, monkeypatch):
    def main():
        raise error
    monkeypatch.setattr(sys, "argv", ["tools/thing.py"])
    with pytest.raises(SystemExit) as stop:
        tool.run(main)
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"thing.py: error: {text}\n"


def test_debug_shows_the_traceback(monkeypatch):
    def main():
        raise ValueError("deep")
    monkeypatch.setattr(sys, "argv", ["thing.py", "--debug"])
    with pytest.raises(ValueError, match="deep"):
        tool.run(main)


def test_a_bug_is_not_taken_for_a_user_error(monkeypatch):
    def main():
        raise AttributeError("a bug")
    monkeypatch.setattr(sys, "argv", ["thing.py"])
    with pytest.raises(AttributeError):
        tool.run(main)


def test_interrupted(monkeypatch, capsys):
    def main():
        raise KeyboardInterrupt
    monkeypatch.setattr(sys, "argv", ["thing.py"])
    with pytest.raises(SystemExit) as stop:
        tool.run(main)
    assert stop.value.code == 130
    assert capsys.readouterr().err == "thing.py: interrupted\n"
