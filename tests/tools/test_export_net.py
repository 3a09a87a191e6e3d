"""tools/export_net.py: a detector in two ONNX parts, weights for PyTorch, and refusals."""
import os

import numpy as np
import onnx
import pytest
import torch
from handful import MODEL
from safetensors.torch import load_file
from test_tool_errors import assert_refused

import caffe
from faster_rcnn.settings.config import cfg

TOOL = "export_net.py"
NET = os.path.join(MODEL, "faster_rcnn_test.pt")
SQUEEZENET = os.path.join(cfg.ROOT_DIR, "models", "imagenet", "SqueezeNet", "deploy.prototxt")
REAL = os.path.join(cfg.ROOT_DIR, "..", "shared", "weights", "squeezenet_v1.0.caffemodel")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("export") / "tiny.caffemodel")
    caffe.set_random_seed(2)
    net = caffe.Net(NET, caffe.TEST)
    generator = np.random.default_rng(1)
    for blobs in net.params.values():
        blobs[0].data[...] = generator.standard_normal(blobs[0].shape) / 10
    net.save(path)
    return path


def test_detector_in_two_parts(run_tool, weights, tmp_path):
    path = tmp_path / "new" / "rpn.onnx"
    done = run_tool(TOOL, "--def", NET, "--net", weights, "--out", path, "--check",
                    "--shape", "data=1,3,50,64", "--end", "rpn_cls_prob_reshape", "rpn_bbox_pred")
    assert done.status == 0 and "inputs: data (1, 3, 50, 64)" in done.out, done.err
    assert float(done.out.split("evaluator: ")[1].split()[0]) < 1e-4
    assert [top.name for top in onnx.load(path).graph.output] == ["rpn_cls_prob_reshape",
                                                                  "rpn_bbox_pred"]
    done = run_tool(TOOL, "--def", NET, "--net", weights, "--out", tmp_path / "head.onnx",
                    "--check", "--shape", "conv6=1,96,7,8", "rois=5,5", "--start", "conv6", "rois",
                    "--end", "cls_prob", "bbox_pred")
    assert done.status == 0 and "cls_prob (5, 21), bbox_pred (5, 84)" in done.out, done.err
    assert float(done.out.split("evaluator: ")[1].split()[0]) < 1e-4


@pytest.mark.skipif(not os.path.exists(REAL), reason="../shared/weights is not there")
def test_squeezenet_with_published_weights(run_tool, tmp_path):
    done = run_tool(TOOL, "--def", SQUEEZENET, "--net", REAL, "--out", tmp_path / "s.onnx",
                    "--shape", "data=1,3,99,120", "--check")
    assert done.status == 0, done.err
    assert float(done.out.split("evaluator: ")[1].split()[0]) < 1e-4


@pytest.mark.parametrize("name, load", [
    ("w.safetensors", load_file), ("w.pt", lambda path: torch.load(path, weights_only=True))])
def test_weights_as_tensors(run_tool, weights, tmp_path, name, load):
    done = run_tool(TOOL, "--def", NET, "--net", weights, "--out", tmp_path / name)
    assert done.status == 0 and f"Wrote {tmp_path / name}" in done.out, done.err
    net, tensors = caffe.Net(NET, weights, caffe.TEST), load(tmp_path / name)
    assert len(tensors) == sum(len(blobs) for blobs in net.params.values())
    assert np.array_equal(tensors["rpn_bbox_pred.weight"], net.params["rpn_bbox_pred"][0].data)


@pytest.mark.parametrize("options, says", [
    (["--out", "w.npz"], "--out must name a file that ends in .onnx"),
    (["--out", "w.onnx"], 'layer "proposal" (Python) has no ONNX form'),
    (["--out", "w.onnx", "--end", "rpn_box_pred"], 'did you mean "rpn_bbox_pred"'),
    (["--out", "w.onnx", "--end", "conv6", "--shape", "data"], "is not BLOB=SIZE"),
    (["--out", "w.pt", "--end", "conv6"], "are for .onnx"),
])
def test_refusals(run_tool, weights, tmp_path, options, says):
    options[1] = tmp_path / options[1]
    assert_refused(run_tool(TOOL, "--def", NET, "--net", weights, *options), says)
    assert os.listdir(tmp_path) == []


def test_weights_of_another_net(run_tool, weights, tmp_path):
    assert_refused(run_tool(TOOL, "--def", SQUEEZENET, "--net", weights, "--out",
                            tmp_path / "w.onnx"), "tiny.caffemodel")
