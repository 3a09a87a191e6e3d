"""A program's work in parts: limits, failures, what is left out, the file of figures."""
import json
import math
import sys

import pytest
from measure.parts import Figures, NotHere, Part, line, run_all

# What the process of a part does when it has written its figures, {"ms": 1.5}
ENDS = {"works": "", "breaks": "os._exit(3)", "hangs": "time.sleep(60)"}
PROGRAM = """
import json, os, sys, time
name, path, until = sys.argv[1:]
assert 0 < float(until) - time.time() < 100
with open(path, "w") as file:
    json.dump({"rows": [{"name": name, "ms": 1.5}], "left_out": []}, file)
"""


def command(part, path, until):
    return [sys.executable, "-c", PROGRAM + ENDS[part.name], part.name, path, str(until)]


@pytest.fixture
def run(tmp_path):
    """run(parts, seconds): the report, which is also what the file holds."""
    def run(parts, seconds):
        path = tmp_path / "figures.json"
        report = run_all(parts, seconds, str(path), {"device": "none"}, command)
        assert json.loads(path.read_text()) == report
        return report
    return run


def test_what_breaks_or_hangs_costs_no_figure_of_another_part(run):
    report = run([Part("breaks", 30), Part("hangs", 4), Part("works", 30)], 90)
    assert report["device"] == "none" and report["limit_s"] == 90
    assert [(part["name"], part["status"], part["rows"]) for part in report["parts"]] == [
        (name, status, [{"name": name, "ms": 1.5}]) for name, status in (
            ("breaks", "failed"), ("hangs", "stopped at its limit"), ("works", "done"))]
    assert 4 <= report["parts"][1]["seconds"] < 30 and report["seconds"] >= 4


def test_a_part_that_no_longer_fits_is_left_out(run, capsys):
    report = run([Part("works", 99), Part("works", 30)], 31)
    first, second = report["parts"]
    assert (first["status"], second["status"]) == ("left out", "done")
    assert first["why"] == "it may take 99 s, and 31 s were left" and first["rows"] == []
    assert "works: left out, it may take 99 s" in capsys.readouterr().out


def test_rows_are_on_disk_after_each_and_errors_are_rows(tmp_path):
    path = tmp_path / "figures.json"
    figures = Figures(str(path), math.inf)
    assert json.loads(path.read_text()) == {"rows": [], "left_out": []}
    figures.add("good", lambda: {"ms": 1.5})
    assert json.loads(path.read_text())["rows"][0]["name"] == "good"
    figures.add("bad", lambda: {"ms": 1 / 0})
    figures.add("not here", lambda: (_ for _ in ()).throw(NotHere("no bf16")))
    figures.add("differs", lambda: {"ok": False, "difference": math.nan})
    assert figures.failures() == 2
    found = json.loads(path.read_text(), parse_constant=pytest.fail)     # no bare NaN
    assert [{**row, "seconds": 0} for row in found["rows"]] == [
        {"name": "good", "ms": 1.5, "seconds": 0},
        {"name": "bad", "ok": False, "error": "ZeroDivisionError: division by zero", "seconds": 0},
        {"name": "differs", "ok": False, "difference": "nan", "seconds": 0}]
    assert found["left_out"] == [{"name": "not here", "why": "no bf16"}]


def test_rows_for_which_no_time_is_left(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("measure.parts.time.time", lambda: clock[0])
    monkeypatch.setattr("measure.parts.time.perf_counter", lambda: clock[0])
    figures = Figures(str(tmp_path / "figures.json"), until=125)

    def takes(seconds):
        clock[0] += seconds
        return {}
    for name, seconds in (("a", 10), ("b", 4), ("c", 2), ("d", 1)):     # 100, 110, 114, 116
        figures.add(name, lambda seconds=seconds: takes(seconds))
    assert [row["name"] for row in figures.rows] == ["a", "b", "c"]
    assert figures.left_out == [{"name": "d", "why": "no time was left"}]


def test_lines():
    assert line({"name": "VGG16", "ms": 12.3456, "other": "PyTorch", "seconds": 3.0}).split() == [
        "VGG16", "ms", "12.35", "other", "PyTorch"]
    assert line({"name": "nms", "ok": False, "difference": 1.0}).endswith("difference 1   FAILED")
