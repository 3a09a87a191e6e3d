"""Options that all tools share, and how errors reach the user."""
import argparse
import signal
import sys
from types import SimpleNamespace

import pytest
import torch

from caffe.core.errors import PrototxtError, UserError
from faster_rcnn.commands import options, start, tool, values
from faster_rcnn.runs import fingerprint
from faster_rcnn.runs.interrupts import Interrupted
from faster_rcnn.settings.config import ConfigKeyError, cfg, cfg_override


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


def run(monkeypatch, main, *words):
    """Runs a tool `tools/detect.py` with some words; returns its exit status."""
    monkeypatch.setattr(sys, "argv", ["tools/detect.py", *words])
    with pytest.raises(SystemExit) as stop:
        tool.run(main)
    return stop.value.code


def raising(error):
    def main():
        raise error
    return main


@pytest.mark.parametrize("error,text", (
    (UserError("two\n  lines"), "two lines"), (ConfigKeyError("the key"), "the key"),
    (PrototxtError("a.pt:3:1: wrong"), "a.pt:3:1: wrong"),
    (FileNotFoundError("x does not exist"), "x does not exist"),
    (torch.OutOfMemoryError("CUDA out of memory"), tool.OUT_OF_MEMORY)))
def test_what_the_user_can_mend_is_one_line_and_status_2(error, text, capsys, monkeypatch):
    assert run(monkeypatch, raising(error)) == 2
    assert capsys.readouterr().err == f"detect.py: error: {text}\n"


def test_debug_shows_the_traceback(monkeypatch):
    with pytest.raises(UserError, match="deep"):
        run(monkeypatch, raising(UserError("deep")), "--debug")


@pytest.mark.parametrize("kind", (AttributeError, ValueError, KeyError, RuntimeError))
def test_a_bug_keeps_its_traceback(monkeypatch, kind):
    with pytest.raises(kind, match="a bug"):
        run(monkeypatch, raising(kind("a bug")))


def test_a_bug_in_a_room_keeps_its_traceback(monkeypatch):
    with pytest.raises(TypeError):
        run(monkeypatch, lambda: values.per_step(None, 4)("1"))


def test_an_error_in_the_users_own_code_names_its_line(monkeypatch, capsys, tmp_path):
    path = tmp_path / "my_imdb.py"
    path.write_text("class my_imdb:\n    def gt_roidb(self):\n        return [][3]\n")
    names = {}
    exec(compile(path.read_text(), str(path), "exec"), names)

    def main():
        fingerprint.data_hash(SimpleNamespace(name="mine", classes=[],
                                              gt_roidb=names["my_imdb"]().gt_roidb))
    assert run(monkeypatch, main) == 2
    assert capsys.readouterr().err == (f"detect.py: error: {path}:3 in gt_roidb: IndexError: list "
                                       "index out of range\n")


def test_interrupted(monkeypatch, capsys):
    assert run(monkeypatch, raising(KeyboardInterrupt)) == 130
    assert capsys.readouterr().err == "detect.py: interrupted\n"


def test_stopped_by_a_signal(monkeypatch, capsys):
    stop = Interrupted(signal.SIGTERM, "at iteration 7", "out/a_checkpoint.npz")
    assert run(monkeypatch, raising(stop), "--cpu", "--set", "EXP_DIR", "a b") == 143
    assert capsys.readouterr().err == (
        "detect.py: stopped by SIGTERM at iteration 7; all is kept in out/a_checkpoint.npz\n"
        "  exit status 143; continue with\n"
        "  tools/detect.py --cpu --resume --set EXP_DIR 'a b'\n")
