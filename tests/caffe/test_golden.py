"""Every recorded case of Caffe 1.0 in tests/golden/caffe; see golden_program.py."""
import importlib

import golden
import pytest
from golden_program import Program

import caffe
from caffe.core import memory

REFUSED = golden.cases("caffe/errors")
NETS = golden.cases("caffe/nets") + golden.cases("caffe/solvers")
PASSING = [case for family in ("files", "fillers", "layers") for case in
           golden.cases(f"caffe/{family}")] + NETS


@pytest.fixture
def program(request, tmp_path, monkeypatch):
    """The program of a case, in a folder with its files."""
    program = Program(request.param)
    program.write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return program


@pytest.mark.parametrize("program", PASSING, indirect=True, ids=golden.short_name)
def test_recorded_case(program):
    for step in program.meta["steps"]:
        program.play(step)


@pytest.mark.parametrize("program", NETS, indirect=True, ids=golden.short_name)
def test_recorded_case_with_copies_in_main_memory(program, monkeypatch):
    """As on a GPU: numpy sees copies, which are downloaded and uploaded."""
    monkeypatch.setattr(memory, "needs_copy", lambda device: True)
    for step in program.meta["steps"]:
        program.play(step)


@pytest.mark.parametrize("program", REFUSED, indirect=True, ids=golden.short_name)
def test_recorded_error(program):
    *before, last = program.meta["steps"]
    assert len(before) == program.meta["error"]["step"]
    for step in before:
        program.play(step)
    with pytest.raises((caffe.CaffeError, ValueError, KeyError, ImportError)) as raised:
        program.play(last)
    assert "\n" not in str(raised.value).strip()


def test_all_families_are_judged():
    judged = {case.rpartition("/")[0] for case in PASSING + REFUSED}
    assert judged == set(golden.families("caffe"))
