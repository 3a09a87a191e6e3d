"""The demos of Fast R-CNN, R-FCN and PVANet."""
import json
import os
import shutil

import numpy as np
import pytest
import scipy.io
from given_proposals import write_detector
from handful import MODEL, places
from test_tool_errors import assert_refused


@pytest.fixture
def picture(handful):
    return os.path.join(os.path.dirname(handful.card), "JPEGImages", "test0.jpg")


@pytest.mark.parametrize("net,weights", [((), "resnet101_rfcn_final.caffemodel"),
                                         (("--net", "ResNet-50"), "resnet50_rfcn_final")])
def test_rfcn(run_tool, picture, tmp_path, net, weights):
    assert_refused(run_tool("demo_rfcn.py", "--cpu", *net, picture, "--set", "DATA_DIR", tmp_path),
                   os.path.join("rfcn_models", weights), "--weights")


def test_pvanet(run_tool, handful, picture, tmp_path):
    assert_refused(run_tool("test_pvanet.py", "--cpu", picture),
                   os.path.join("models", "pvanet", "pva9.1", "faster_rcnn_train_test_21cls.pt"))
    done = run_tool("test_pvanet.py", "--cpu", "--def", os.path.join(MODEL, "faster_rcnn_test.pt"),
                    "--weights", handful.weights, "--allow-random", "--card", handful.card,
                    "--out", tmp_path, "--scale", "120", "--thresh", "0.1", picture, "--set",
                    *places(tmp_path))
    assert done.status == 0, done.err
    with open(tmp_path / "detections.json") as file:
        found, = json.load(file)
    assert found["detections"]


def test_fast_rcnn_on_boxes_beside_the_picture(run_tool, handful, picture, tmp_path):
    own = str(tmp_path / "own.jpg")
    shutil.copy(picture, own)
    weights = str(tmp_path / "fast.caffemodel")
    write_detector(weights)
    options = ("--cpu", "--net", "tiny", "--boxes", "--weights", weights, "--card", handful.card,
               "--out", tmp_path, "--scale", "120", "--thresh", "0", "--nms", "1")
    assert_refused(run_tool("demo.py", *options, own), "own_boxes.mat", "--boxes")
    boxes = np.array([[5, 8, 40, 60], [60, 5, 90, 50], [0, 0, 159, 119]])
    scipy.io.savemat(str(tmp_path / "own_boxes.mat"), {"boxes": boxes})
    done = run_tool("demo.py", *options, own, "--set", "TEST.BBOX_REG", "False")
    assert done.status == 0, done.err
    with open(tmp_path / "detections.json") as file:
        found, = json.load(file)
    assert sorted({tuple(det["box"]) for det in found["detections"]}) == sorted(
        map(tuple, boxes.tolist()))
