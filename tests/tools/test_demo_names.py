"""The demos of R-FCN and PVANet by their old names."""
import json
import os

import pytest
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
                    "--weights", handful.weights, "--card", handful.card, "--out", tmp_path,
                    "--scale", "120", "--thresh", "0.1", picture, "--set", *places(tmp_path))
    assert done.status == 0, done.err
    with open(tmp_path / "detections.json") as file:
        found, = json.load(file)
    assert found["detections"]
