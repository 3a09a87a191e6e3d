"""docs/draw_detections.py: a picture with boxes from a file, without this project."""
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from caffe import export
from faster_rcnn.export.checks.net_detectors import net_detector
from faster_rcnn.export.making import whole_detector
from faster_rcnn.settings.config import cfg

PROGRAM = os.path.join(cfg.ROOT_DIR, "docs", "draw_detections.py")


def run(*args):
    """-I: neither this folder nor PYTHONPATH."""
    return subprocess.run([sys.executable, "-I", PROGRAM, *map(str, args)], capture_output=True,
                          text=True, timeout=120)


@pytest.mark.parametrize("detector", ["faster_rcnn"], indirect=True)
def test_draws_what_the_net_finds(detector, tmp_path):
    net, options, [[im], _] = detector
    net.params["cls_score"][0].data[...] *= 3       # scores of 0.5 and more
    export.write_onnx(whole_detector(net, options), tmp_path / "d.onnx")
    cv2.imwrite(str(tmp_path / "in.png"), im)
    done = run(tmp_path / "d.onnx", tmp_path / "in.png", tmp_path / "out.png")
    assert done.returncode == 0, done.stderr
    found = net_detector(net, options)(im)
    lines = [f"{options.classes[label]} {score:.3f} {np.rint(box).astype(int).tolist()}"
             for box, score, label in zip(*found)]
    assert sorted(done.stdout.splitlines()) == sorted(lines) and lines
    drawn = cv2.imread(str(tmp_path / "out.png"))
    x1, y1, x2, _ = np.rint(found.boxes[0]).astype(int)
    assert found.scores[0] > 0.5 and drawn.shape == im.shape
    changed = (drawn[y1, x1:x2] != im[y1, x1:x2]).any(1)
    assert changed.mean() > 0.9
    wrong = run(tmp_path / "d.onnx", tmp_path / "none.png", tmp_path / "out.png")
    assert wrong.returncode == 1 and "none.png is no picture" in wrong.stderr
