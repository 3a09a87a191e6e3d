"""A folder in which the commands of the pages can be run, with a detector in it."""
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from sources import ROOT

# Folders of the project that commands name
PROJECT = ("docs", "models", "experiments", "tools", "lib", "caffe-fast-rcnn", "tests")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(
        [str(ROOT / "lib"), str(ROOT / "caffe-fast-rcnn" / "python"),
         os.environ.get("PYTHONPATH", "")])}


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    """folder: has the embedded set, small, as data/shapes and as my/pictures, and links to the
    project; weights, alternating: detectors of two iterations; run(command): a finished process."""
    folder = tmp_path_factory.mktemp("workplace")
    for name in PROJECT:
        (folder / name).symlink_to(ROOT / name)
    (folder / "data").mkdir()
    (folder / "data" / "cards").symlink_to(ROOT / "data" / "cards")
    (folder / "data" / "imagenet_models").symlink_to(ROOT / "data" / "imagenet_models")

    def run(command: str) -> subprocess.CompletedProcess:
        words = shlex.split(command)
        if words[0] in ("faster-rcnn", "caffe"):
            words[:1] = [sys.executable, "-m", words[0].replace("-", "_")]
        elif words[0] in ("python", ".venv/bin/python"):
            words[0] = sys.executable
        elif words[0].endswith(".py"):
            words.insert(0, sys.executable)
        return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300,
                              env=environment())

    def must(command: str) -> str:
        done = run(command)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return done.stdout
    here = f"--set ROOT_DIR {folder} DATA_DIR {folder / 'data'}"
    must("faster-rcnn shapes --output data/shapes --trainval 6 --test 3")
    must("faster-rcnn shapes --output my/pictures --trainval 6 --test 3")
    must("faster-rcnn shapes --output new --trainval 1 --test 1")
    (folder / "new" / "pictures").symlink_to(folder / "new" / "JPEGImages")
    (folder / "pictures").symlink_to(folder / "new" / "JPEGImages")
    (folder / "clip.mp4").write_bytes(b"")       # read by nobody here
    must("faster-rcnn train shapes --cpu --net Tiny --schedule alternating --iters 2 --no-test "
         f"--name demo --log log.txt {here}")
    weights = folder / "output" / "demo" / "shapes_trainval" / "Tiny_faster_rcnn_final.caffemodel"
    return SimpleNamespace(folder=folder, run=run, must=must, here=here, weights=weights,
                           picture=Path("data/shapes/JPEGImages/000007.jpg"))
