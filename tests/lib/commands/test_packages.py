"""The extras of pyproject.toml: what works without them, and what is said where one is missing."""
import re
import subprocess
import sys
from pathlib import Path

import pytest
from handful import make_data_set, make_weights
from sources import ROOT

from faster_rcnn.commands import packages

HELPERS = Path(__file__).parents[2] / "helpers"
EXTRAS = ",".join(packages.EXTRAS)


def extras():
    """{extra: names of its packages} of pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = text.partition("[project.optional-dependencies]\n")[2].partition("\n[")[0]
    return {name: set(re.findall(r'"([\w-]+)', listed))
            for name, listed in re.findall(r"^(\w+) = \[(.*?)\]", table, re.M | re.S)}


def test_the_table_is_that_of_pyproject():
    known = extras()
    for package, extra in packages.EXTRAS.values():
        assert package in known[extra] and (package in known["all"] or package == "plyvel")
    assert set(packages.REPORT) <= known["report"] <= known["train"]


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """bare(*words): a verb in a process without the packages of the extras."""
    folder = tmp_path_factory.mktemp("bare")
    card = make_data_set(str(folder / "VOC2007"))
    make_weights(str(folder / "Tiny.v2.caffemodel"))

    def run(verb, *words):
        command = [HELPERS / "without_packages.py", EXTRAS, verb, *words]
        return subprocess.run([sys.executable, *map(str, command)], cwd=folder, text=True,
                              capture_output=True, timeout=120)
    trained = run("train", card, "--cpu", "--net", "Tiny", "--weights", "Tiny.v2.caffemodel",
                  "--iters", "1", "--scale", "120", "--no-test", "--log", "log.txt", "--set",
                  "ROOT_DIR", str(folder), "DATA_DIR", str(folder))
    assert trained.returncode == 0, trained.stderr
    [run.detector] = map(str, (folder / "output").rglob("*.caffemodel"))
    run.pictures = str(folder / "VOC2007" / "JPEGImages")
    run.card = card
    return run


def test_a_base_installation_trains_and_detects(bare):
    done = bare("detect", bare.detector, bare.pictures, "--cpu", "--out", "found")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb, package, extra", (("test", "matplotlib", "report"),
                                                  ("serve", "werkzeug", "serve")))
def test_a_missing_package_is_named_before_any_work(bare, verb, package, extra):
    done = bare(verb, bare.detector, "--cpu")
    assert done.returncode == 2 and done.stderr == (
        f"faster-rcnn: error: the Python package {package} is not installed: pip install "
        f"{package}, or pip install 'py-faster-rcnn[{extra}]'\n")


def test_anchors_need_the_extra_of_trainings(bare):
    done = bare("anchors", bare.card, "--scale", "120")
    assert done.returncode == 2 and "pip install 'py-faster-rcnn[train]'" in done.stderr
    assert done.stderr.count("\n") == 1
