"""Options that all tools share, and how errors reach the user."""
import argparse
import signal
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from half_bytes import precision

import caffe
from caffe.core.errors import PrototxtError, UserError
from faster_rcnn.commands import entry, options, start, tool, values
from faster_rcnn.runs import devices, fingerprint
from faster_rcnn.runs.interrupts import Interrupted
from faster_rcnn.settings.config import ConfigKeyError, ConfigValueError, cfg, cfg_override


@pytest.fixture
def parser():
    made = options.parser_for("A tool.", "")
    options.add_common_args(made, "voc_2007_test")
    return made


@pytest.mark.parametrize("words,gpu", (([], "auto"), (["--gpu", "3"], 3), (["--gpu", "cpu"], "cpu"),
                                       (["--cpu"], "cpu"), (["--gpu", "1", "--cpu"], "cpu"),
                                       (["--cpu", "--gpu", "1"], "cpu")))
def test_gpu_or_cpu(parser, words, gpu):
    assert parser.parse_args(words).gpu_id == gpu


def test_defaults_are_those_of_the_original_but_for_the_device(parser):
    args = parser.parse_args([])
    assert (args.cfg_file, args.imdb_name, args.set_cfgs) == (None, "voc_2007_test", None)
    assert args.gpu_id == "auto" and not (args.quiet or args.verbose or args.parse_only)


@pytest.mark.parametrize("words,hint", ((["--scal", "3"], "(did you mean --scale?)"),
                                        (["--gp=1"], "(did you mean --gpu?)"),
                                        (["extra"], "unrecognized arguments: extra (--help")))
def test_an_abbreviation_is_unknown(parser, words, hint, capsys):
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(words)
    line = capsys.readouterr().err
    assert stop.value.code == 2 and hint in line and line.count("\n") == 1


def test_a_command_line_can_be_checked_alone(monkeypatch):
    made = options.parser_for("A tool.", "")
    monkeypatch.setattr(sys, "argv", ["tool.py", "--parse-only"])
    with pytest.raises(SystemExit) as stop:
        entry.run(lambda: options.parse(made), raising(AssertionError("it ran")))
    assert stop.value.code == 0


@pytest.fixture
def device_mode():
    """Leaves the mode of the engine as it was found."""
    yield
    caffe.set_mode_cpu()


def refuse():
    raise RuntimeError("no kernel image is available\nfor execution on the device")


@pytest.mark.parametrize("gpus,words", (
    (0, "the CPU (PyTorch sees no GPU"),
    (1, "GPU 0 cannot be used: no kernel image is available)")))
def test_auto_takes_the_cpu_and_says_why(gpus, words, monkeypatch, caplog, device_mode):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(gpus))
    monkeypatch.setattr(devices, "try_gpu", refuse)
    with caplog.at_level("INFO"):
        start.use_device("auto")
    assert caffe.state.device().type == "cpu" and words in caplog.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is there")
def test_auto_takes_a_gpu_that_is_there(caplog, device_mode):
    with caplog.at_level("INFO"):
        start.use_device("auto")
    assert caffe.state.device() == torch.device("cuda", 0) and "GPU 0" in caplog.text


@pytest.mark.parametrize("words", (["--deterministic", "--tf32"],
                                   ["--set", "DETERMINISTIC", "True", "USE_TF32", "True"]))
def test_how_to_compute(parser, words, monkeypatch, device_mode):
    asked = []
    monkeypatch.setattr(caffe, "set_deterministic", lambda: asked.append("deterministic"))
    monkeypatch.setattr(caffe, "set_device", lambda number: asked.append(number))
    monkeypatch.setattr(caffe, "set_mode_gpu", lambda tf32: asked.append(("tf32", tf32)))
    args = parser.parse_args(["--gpu", "1", *words])
    with cfg_override():
        start.apply_settings(args)
        assert cfg.DETERMINISTIC and cfg.USE_TF32 and cfg.GPU_ID == 1
        start.use_device(args.gpu_id)
    assert asked == ["deterministic", 1, ("tf32", True)]
    with cfg_override():
        start.apply_settings(parser.parse_args(["--gpu", "0"]))
        assert not (cfg.DETERMINISTIC or cfg.USE_TF32)


@pytest.mark.parametrize("words, train, test", (
    ([], "float32", "float32"), (["--precision", "bf16"], "bf16", "bf16"),
    (["--set", "TEST.PRECISION", "bf16"], "float32", "bf16"),
    (["--precision", "bf16", "--set", "TRAIN.PRECISION", "float32"], "float32", "bf16")))
def test_precision(parser, words, train, test, device_mode):
    args = parser.parse_args(["--cpu", *words])
    with cfg_override(), precision("float32"):
        start.apply_settings(args)
        start.use_device(args.gpu_id)
        assert (cfg.TRAIN.PRECISION, cfg.TEST.PRECISION) == (train, test)
        assert (caffe.precision(caffe.TRAIN), caffe.precision(caffe.TEST)) == (train, test)


def test_an_unknown_precision(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args(["--precision", "bf61"])
    line = capsys.readouterr().err
    assert "--precision" in line and "bf61" in line and line.count("\n") == 1
    with cfg_override(), pytest.raises(ConfigValueError) as caught:
        start.apply_settings(parser.parse_args(["--set", "TEST.PRECISION", "bf61"]))
    assert str(caught.value) == "TEST.PRECISION must be float32 or bf16; it is 'bf61'"


def test_only_settings_that_differ_are_shown(parser, caplog):
    args = parser.parse_args(["--cpu", "--scale", "480", "--set", "RNG_SEED", "7"])
    with cfg_override(), caplog.at_level("INFO"):
        start.apply_settings(args)
    assert caplog.messages == ["Settings: TRAIN.SCALES (480,), TEST.SCALES (480,), RNG_SEED 7"]


def test_all_settings_are_in_the_whole_log(parser, caplog):
    with cfg_override(), caplog.at_level("DEBUG"):
        start.apply_settings(parser.parse_args(["--cpu"]))
    assert "Called with args" in caplog.text and "'RPN_NMS_THRESH': 0.7" in caplog.text
    assert caplog.messages[-1] == "Settings: the defaults"


def test_equal_arrays_do_not_differ():
    settings, defaults = ({"A": np.array([1, 2]), "B": {"C": value}} for value in (1, 2))
    assert list(start.changed_settings(settings, defaults)) == [("B.C", 1)]


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
