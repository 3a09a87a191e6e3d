"""Fixtures of the tools' tests: a small data set, and the tools run in this process."""
import logging
import os
import runpy
import sys
from types import SimpleNamespace

import pytest
from handful import TOOLS, make_data_set, make_weights

import caffe
from faster_rcnn.settings.config import cfg, cfg_override


@pytest.fixture(scope="session")
def handful(tmp_path_factory):
    """card, weights: paths of a small data set's card and of initial weights."""
    folder = tmp_path_factory.mktemp("handful")
    made = SimpleNamespace(card=make_data_set(str(folder / "VOC2007")),
                           weights=str(folder / "Tiny.v2.caffemodel"))
    make_weights(made.weights)
    return made


@pytest.fixture
def run_tool(monkeypatch, capsys, caplog):
    """Runs a tool's file in this process (no second start of PyTorch); gives its three results.

    out: what the tool logs for the user, then what it prints.
    """
    def run(tool, *args):
        monkeypatch.setattr(sys, "argv", [os.path.join(TOOLS, tool), *map(str, args)])
        caplog.clear()
        with cfg_override(), caplog.at_level("INFO"), pytest.raises(SystemExit) as stop:
            runpy.run_path(sys.argv[0], run_name="__main__")
        captured = capsys.readouterr()
        return SimpleNamespace(status=stop.value.code, err=captured.err,
                               out="".join(f"{line}\n" for line in caplog.messages) + captured.out)
    monkeypatch.chdir(cfg.ROOT_DIR)
    monkeypatch.syspath_prepend(TOOLS)
    level = logging.getLogger("faster_rcnn").level
    yield run
    caffe.set_mode_cpu()
    caffe.set_precision("float32")
    logging.getLogger("faster_rcnn").setLevel(level)        # check_data.py is a quiet tool
