"""Copies out of mapped files: exact, and without the file's size in memory."""
import json
import subprocess
import sys

import numpy as np
import pytest
from caffe.core import mapped
from caffe.files import weights

PROGRAM = """
import json, sys
import numpy as np
from caffe import mapped, weights

def largest_memory():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if "VmHWM" in line)

[source] = weights.read_weights(sys.argv[1])["a"]
target = np.zeros(source.shape, np.float32)
target += 1
before = largest_memory()
mapped.copy(target, source)
print(json.dumps([bool((target == np.arange(len(target))[:, None]).all()),
                  largest_memory() - before]))
"""


@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (5, 2, 3, 1), (1000, 9)])
def test_values(tmp_path, monkeypatch, rng, shape):
    monkeypatch.setattr(mapped, "_PIECE", 8192)
    array = rng.standard_normal(shape).astype(np.float32)
    weights.write_weights(tmp_path / "w", "n", [("a", "T", [array])])
    [source] = weights.read_weights(tmp_path / "w")["a"]
    for given in (source, array, array.T.copy().T):
        target = np.zeros(shape, np.float32)
        mapped.copy(target, given)
        assert np.array_equal(target, array)
    assert np.array_equal(source, array)        # what was forgotten is read again


def test_a_large_file_takes_no_memory(tmp_path):
    array = np.broadcast_to(np.arange(1 << 10, dtype=np.float32)[:, None], (1 << 10, 1 << 14))
    weights.write_weights(tmp_path / "w", "n", [("a", "T", [array])])       # 64 MB
    done = subprocess.run([sys.executable, "-c", PROGRAM, tmp_path / "w"], capture_output=True,
                          text=True, env={"PYTHONPATH": ":".join(filter(None, sys.path))})
    assert done.returncode == 0, done.stderr
    equal, kilobytes = json.loads(done.stdout)
    assert equal and kilobytes < 32 << 10
