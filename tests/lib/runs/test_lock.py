"""Results are written by one run at a time, and leftovers of killed runs are removed."""
import os
import signal
import subprocess
import sys
import time

import pytest

from faster_rcnn.runs.lock import LockedError, RunLock, sweep

HOLDER = """
import sys, time
from faster_rcnn.runs.lock import RunLock
with RunLock(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(300)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of out/record.json."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "out/record.json")],
                               stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.wait()


def test_the_run_that_holds_the_lock_is_named(holder, tmp_path):
    path = str(tmp_path / "out" / "record.json")
    words = rf"process {holder.pid} on .+, since {time.strftime('%Y-%m-%d')} .* is writing"
    with pytest.raises(LockedError, match=words), RunLock(path):
        pass
    with RunLock(str(tmp_path / "out" / "another.json")):
        pass        # other results in the same folder


def test_a_killed_run_locks_nothing(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert os.listdir(tmp_path / "out") == [".record.json.lock"]
    with RunLock(str(tmp_path / "out" / "record.json")):
        assert os.listdir(tmp_path / "out") == [".record.json.lock"]
    assert os.listdir(tmp_path / "out") == []


def test_unfinished_files_of_killed_runs_are_removed(tmp_path):
    mine = [".tiny_iter_3.caffemodel.0123abcd.partial",
            ".tiny_checkpoint.npz.new.abcdef01.partial"]
    others = ["tiny_iter_3.caffemodel", ".tiny_iter_3.caffemodel", ".other.json.abcdef01.partial",
              ".tiny_train.json.lock"]
    for name in mine + others:
        (tmp_path / name).write_text("")
    sweep(str(tmp_path / "tiny"))
    assert sorted(os.listdir(tmp_path)) == sorted(others)
