"""The bench of layer types: every case computes what its PyTorch form computes, and is timed."""
import re

import pytest
import torch
from handful import run_command
from measure import operator_peers, winograd


def test_every_case_has_figures():
    done = run_command("bench_layers.py", "--repeats", "1", "--threads", "1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[1:]
    rows = [re.fullmatch(r"(\w+) +\(.+\) +ours +[\d.]+ ms +bare +[\d.]+ ms +ratio [\d.]+ +of the "
                         r"fastest [\d.]+", line) for line in lines]
    assert all(rows) and {"Convolution", "LRN", "BatchNorm"} <= {row.group(1) for row in rows}


def test_winograd_has_times_and_errors(monkeypatch, capsys):
    monkeypatch.setattr(winograd, "VGG16", (("small", 2, 32, 48, 30, 22), ("odd", 1, 20, 7, 9, 75)))
    winograd.show(winograd.VGG16, repeats=1)
    head, *rows, total = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["small", "odd"] and total.startswith("all")
    assert re.findall(r"[\w()]+", head)[-4:] == ["oneDNN", "F(2)", "F(4)", "F(6)"]
    for row in rows:
        errors = [float(number) for number in row.split()[-4:]]
        assert 0 < max(errors[:2]) < 2e-6 and 0 < errors[2] < 4e-6 and 0 < errors[3] < 3e-5


SMALL = {"ROIPooling": (8, 9, 11, 5), "ROIAlign": (8, 9, 11, 5), "PSROIPooling": (2, 3, 5),
         "NMS": (40,), "SmoothL1Loss": (6, 8), "SmoothL1Loss-plain": (6, 8), "LRN": (8, 5, 6, 5)}


def test_operators_compute_what_others_compute(monkeypatch, capsys):
    monkeypatch.setattr(operator_peers, "CASES", {
        name: (make, (SMALL[name],)) for name, (make, _) in operator_peers.CASES.items()})
    operator_peers.show(operator_peers.OPERATORS, repeats=1)
    rows = [row.split("|") for row in capsys.readouterr().out.splitlines()[2:]]
    assert [row[1].strip() for row in rows] == [
        "ROIPooling", "ROIAlign", "PSROIPooling", "NMS", "SmoothL1Loss", "SmoothL1Loss, no weights",
        "LRN"]
    for row in rows:
        assert float(row[3]) > 0 and (row[1].strip() == "NMS") == (not row[6].strip())


def test_an_operator_that_computes_something_else_is_told():
    forms = operator_peers.Forms("Twice", "3", "cpu", {"ours": lambda: torch.ones(3),
                                                       "PyTorch": lambda: torch.ones(3) * 2},
                                 {}, ["PyTorch"])
    with pytest.raises(RuntimeError, match="Twice 3: PyTorch differs from ours"):
        operator_peers.measured(forms, 1)


def test_an_unknown_type_is_refused():
    done = run_command("bench_layers.py", "--type", "Convolutoin")
    assert done.returncode == 2 and "Convolutoin" in done.stderr
