"""What a failed or killed writer leaves: nothing but the older file, and an error with the path."""
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

from caffe.core.errors import WeightsError
from caffe.files import atomic, weights
from caffe.files.databases import new_database

ARRAY = np.ones(1 << 16, np.float32)
KILLED = """
import os, signal, sys
from caffe.files import atomic
from caffe.files.databases import new_database
with atomic.replacing(sys.argv[1] + "/file") as partial, new_database(sys.argv[1] + "/db", "lmdb"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def write_all(path):
    """Writers of snapshots, each with the path that it writes."""
    return [(path / "w", lambda p: weights.write_weights(p, "n", [("a", "T", [ARRAY])])),
            (path / "w.h5", lambda p: weights.write_weights_hdf5(p, [("a", [ARRAY])])),
            (path / "s", lambda p: weights.write_state(p, 1, "w", 0, [ARRAY])),
            (path / "s.h5", lambda p: weights.write_state(p, 1, "w", 0, [ARRAY])),
            (path / "m", lambda p: weights.write_binaryproto(p, ARRAY))]


@pytest.fixture
def small_files():
    """Files may have at most 100 kB; what is longer fails as on a full disk."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_file_that_grows_too_large(tmp_path, small_files):
    for path, write in write_all(tmp_path):
        path.write_bytes(b"older")
        with pytest.raises(WeightsError) as caught:
            write(path)
        assert str(caught.value).startswith(f"{path}: cannot be written: ")
        assert "\n" not in str(caught.value) and ".partial" not in str(caught.value)
        assert path.read_bytes() == b"older"
    assert sorted(os.listdir(tmp_path)) == sorted(p.name for p, _ in write_all(tmp_path))


def test_other_writers_name_the_file_too(tmp_path, small_files):
    with pytest.raises(OSError) as caught:
        atomic.write_bytes(tmp_path / "f", bytes(200_000))
    assert caught.value.filename == str(tmp_path / "f") and os.listdir(tmp_path) == []


def test_a_folder_that_is_missing(tmp_path):
    for path, write in write_all(tmp_path / "none"):
        with pytest.raises(WeightsError, match=f"{path.name}: cannot be written: No such file"):
            write(path)


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path])
    assert done.returncode == -signal.SIGKILL
    left = os.listdir(tmp_path)
    assert len(left) == 2 and all(name.endswith(".partial") for name in left)
    atomic.write_text(tmp_path / "another", "x")
    assert os.listdir(tmp_path) == ["another"]


def test_what_a_living_process_writes_is_not_removed(tmp_path):
    with atomic.replacing(tmp_path / "a") as partial, new_database(tmp_path / "d", "lmdb"):
        atomic.sweep(tmp_path)
        assert os.path.isfile(partial) and len(os.listdir(tmp_path)) == 2
    foreign = tmp_path / ".x.00000000-999999999-abcd.partial"     # of another machine
    foreign.write_text("")
    atomic.sweep(tmp_path)
    assert foreign.exists() and sorted(os.listdir(tmp_path))[1:] == ["a", "d"]
