"""Main memory: freed memory is used again, and mapped files do not stay in memory when copied."""
import json
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from caffe.core import main_memory
from caffe.files import weights

COPY = """
import json, sys
import numpy as np
from caffe.core.main_memory import copy_mapped
from caffe.files import weights

def largest_memory():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if "VmHWM" in line)

[source] = weights.read_weights(sys.argv[1])["a"]
target = np.zeros(source.shape, np.float32)
target += 1
before = largest_memory()
copy_mapped(target, source)
print(json.dumps([bool((target == np.arange(len(target))[:, None]).all()),
                  largest_memory() - before]))
"""


@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (5, 2, 3, 1), (1000, 9)])
def test_values(tmp_path, monkeypatch, rng, shape):
    monkeypatch.setattr(main_memory, "_PIECE", 8192)
    array = rng.standard_normal(shape).astype(np.float32)
    weights.write_weights(tmp_path / "w", "n", [("a", "T", [array])])
    [source] = weights.read_weights(tmp_path / "w")["a"]
    for given in (source, array, array.T.copy().T):
        target = np.zeros(shape, np.float32)
        main_memory.copy_mapped(target, given)
        assert np.array_equal(target, array)
    assert np.array_equal(source, array)        # what was forgotten is read again


def test_a_large_file_takes_no_memory(tmp_path):
    array = np.broadcast_to(np.arange(1 << 10, dtype=np.float32)[:, None], (1 << 10, 1 << 14))
    weights.write_weights(tmp_path / "w", "n", [("a", "T", [array])])       # 64 MB
    done = subprocess.run([sys.executable, "-c", COPY, tmp_path / "w"], capture_output=True,
                          text=True, env={"PYTHONPATH": ":".join(filter(None, sys.path))})
    assert done.returncode == 0, done.stderr
    equal, kilobytes = json.loads(done.stdout)
    assert equal and kilobytes < 32 << 10


REUSE = """
import resource, torch, caffe
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(sorted([faults() for _ in range(24)])[12])     # some passes split a block and take new pages
"""
PAGES = (64 << 20) // resource.getpagesize()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
@pytest.mark.parametrize("variables, reused", [({}, True),
                                               ({"MALLOC_MMAP_THRESHOLD_": "1000000"}, False)])
def test_freed_memory_is_used_again(variables, reused, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, "-c", REUSE], capture_output=True, text=True,
                          check=True)
    assert (int(done.stdout) < PAGES / 100) is reused


@pytest.mark.skipif(not os.path.exists("/sys/kernel/mm/transparent_hugepage/enabled"),
                    reason="Linux alone has large pages that are asked for")
def test_the_next_blocks_may_lie_on_large_pages():
    """VmFlags of the heap: hg, for MADV_HUGEPAGE."""
    script = ("import caffe, numpy as np, re; a = np.ones(1 << 22, np.float32)\n"
              "middle = a.ctypes.data + a.nbytes // 2\n"
              "for line in open('/proc/self/smaps'):\n"
              "    found = re.match('([0-9a-f]+)-([0-9a-f]+) ', line)\n"
              "    if found: inside = int(found[1], 16) <= middle < int(found[2], 16)\n"
              "    if line.startswith('VmFlags') and inside: print('hg' in line.split())")
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True"]


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="VmSize is Linux's")
def test_no_address_space_is_reserved_where_it_is_limited():
    """6 GB would hold the block, but what is mapped later may need them."""
    script = ("import re, resource, sys\n"
              "resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)\n"
              "import caffe\n"
              "print(re.search(r'VmSize:\\s+(\\d+)', open('/proc/self/status').read())[1])")
    free, limited = (int(subprocess.run([sys.executable, "-c", script, str(limit)], text=True,
                                        capture_output=True, check=True).stdout)
                     for limit in (resource.RLIM_INFINITY, 6 << 30))
    assert free - limited > 900 << 10       # KB
