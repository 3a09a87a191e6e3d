"""Every command of README, CONTRIBUTING and docs/ is run, or at least read by its tool."""
import re
import shlex
import shutil
import subprocess

import pytest
from page_commands import ELSEWHERE, PAGES, RUN, commands, to_read
from sources import ROOT

NET = """name: "n" layer { name: "x" type: "DummyData" top: "x" top: "y" dummy_data_param {
shape { dim: 4 dim: 3 } shape { dim: 4 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "y" top: "loss" }"""
SOLVER = """net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 2
snapshot_prefix: "n" solver_mode: CPU"""


@pytest.fixture(scope="module")
def place(workplace):
    """The workplace, with a net and a solver of Caffe, and a copy of docs that may be written."""
    (workplace.folder / "net.prototxt").write_text(NET)
    (workplace.folder / "solver.prototxt").write_text(SOLVER)
    workplace.must("python -c \"import caffe; caffe.Net('net.prototxt', caffe.TEST)"
                   ".save('net.caffemodel')\"")
    shutil.copytree(ROOT / "docs", workplace.folder / "copy")
    workplace.done = set()
    return workplace


def filled(command, place):
    return command.format(weights=place.weights, here=place.here, picture=place.picture)


def check(command, place):
    """Does with a command what the tables say, unless another page did it."""
    words = shlex.split(command)
    if command in place.done:
        return
    place.done.add(command)
    if command in RUN:
        place.must(filled(RUN[command], place))
    elif words[0] == "make":
        subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, check=True, capture_output=True)
    elif words[1:3] == ["-m", "pytest"]:
        assert all((ROOT / word).exists() for word in words if word.startswith("tests"))
    elif command not in ELSEWHERE:
        place.must(to_read(command))


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page(page, place):
    for command in dict.fromkeys(commands(page)):
        check(command, place)


def test_the_tables_name_commands_that_are_there():
    written = {command for page in PAGES for command in commands(page)}
    assert {*RUN, *ELSEWHERE} <= written
    assert not RUN.keys() & ELSEWHERE.keys()


@pytest.mark.parametrize("command", ELSEWHERE)
def test_what_is_not_run_here_is_run_elsewhere(command):
    reason, test = ELSEWHERE[command]
    assert reason and (ROOT / "tests" / test).is_file()
    extras = re.search(r"\[([a-z,]+)\]", command) if command.startswith("pip") else None
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert not extras or all(f"\n{name} = [" in text for name in extras[1].split(","))
