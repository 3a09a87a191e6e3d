"""The bench of layer types: every case computes what its PyTorch form computes, and is timed."""
import re

from handful import run_command


def test_every_case_has_figures():
    done = run_command("bench_layers.py", "--repeats", "1", "--threads", "1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[1:]
    rows = [re.fullmatch(r"(\w+) +\(.+\) +ours +[\d.]+ ms +bare +[\d.]+ ms +ratio [\d.]+ +of the "
                         r"fastest [\d.]+", line) for line in lines]
    assert all(rows) and {"Convolution", "LRN", "BatchNorm"} <= {row.group(1) for row in rows}


def test_an_unknown_type_is_refused():
    done = run_command("bench_layers.py", "--type", "Convolutoin")
    assert done.returncode == 2 and "Convolutoin" in done.stderr
