"""The bench of layer types: every case computes what its PyTorch form computes, and is timed."""
import re

from handful import run_command
from measure import winograd


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


def test_an_unknown_type_is_refused():
    done = run_command("bench_layers.py", "--type", "Convolutoin")
    assert done.returncode == 2 and "Convolutoin" in done.stderr
