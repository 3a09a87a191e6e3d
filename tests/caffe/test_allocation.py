"""Freed memory is used again without asking the system for it."""
import resource
import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from caffe import allocation
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(sum([faults() for _ in range(24)][4:]) / 20)   # a block may be split once, later on too
"""
PAGES = (64 << 20) // resource.getpagesize()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
@pytest.mark.parametrize("variables, reused", [({}, True),
                                               ({"MALLOC_MMAP_THRESHOLD_": "1000000"}, False)])
def test_freed_memory_is_used_again(variables, reused, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True,
                          check=True)
    assert (float(done.stdout) < PAGES / 10) is reused
