"""--help and mistyped options answer before PyTorch, OpenCV and the like are loaded."""
import os
import subprocess
import sys

import pytest
from handful import TOOLS

from faster_rcnn.program.main import VERBS

SLOW = ("torch", "cv2", "scipy", "matplotlib", "caffe", "sklearn")
TOOLS_THAT_ANSWER_AT_ONCE = (
    "anchors.py", "card_splits.py", "check_data.py", "compress_net.py", "demo.py", "describe.py",
    "eval_recall.py", "export_net.py", "gen_merged_model.py", "get_weights.py", "init_data.py",
    "make_shapes.py",
    "modernize.py", "reval.py", "rpn_generate.py", "test_net.py", "train_faster_rcnn_alt_opt.py",
    "train_net.py", "train_rfcn_alt_opt_5stage.py", "train_svms.py")


def loaded_by(*command):
    """(exit status, stdout, stderr without the report, slow modules that Python loaded)"""
    done = subprocess.run([sys.executable, "-X", "importtime", *command], capture_output=True,
                          text=True, timeout=60, cwd=TOOLS)
    report = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    modules = {line.rpartition("|")[2].strip().split(".")[0] for line in report}
    errors = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert "argparse" in modules
    return done.returncode, done.stdout, errors, modules & set(SLOW)


@pytest.mark.parametrize("tool", TOOLS_THAT_ANSWER_AT_ONCE)
def test_help_needs_no_slow_module(tool):
    status, out, _, slow = loaded_by(os.path.join(TOOLS, tool), "--help")
    assert status == 0 and "--help" in out and "examples:" in out and not slow


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_needs_none_either(verb):
    status, out, _, slow = loaded_by("-m", "faster_rcnn", verb, "--help")
    assert status == 0 and f"usage: faster-rcnn {verb} " in out and not slow


@pytest.mark.parametrize("command", (["train_net.py"], ["-m", "faster_rcnn", "train", "x"]))
def test_a_mistyped_option_needs_none_either(command):
    status, _, errors, slow = loaded_by(*command, "--iter", "4")
    assert status == 2 and not slow
    assert len(errors) == 1 and "--iter 4 (did you mean --iters?)" in errors[0]


def test_what_counts_as_slow_is_seen():
    assert loaded_by("-c", "import argparse, caffe")[3] >= {"torch", "caffe"}


@pytest.mark.parametrize("tool", ("test_net.py", "rpn_generate.py", "train_svms.py",
                                  "compress_net.py", "export_net.py", "demo.py"))
def test_trained_weights_are_called_weights_everywhere(tool):
    assert "--weights FILE" in loaded_by(os.path.join(TOOLS, tool), "--help")[1]


def test_help_of_the_sanitizers_builds_nothing():
    done = subprocess.run([sys.executable, os.path.join(TOOLS, "sanitize.py"), "--help"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "Exit status" in done.stdout and not done.stderr
