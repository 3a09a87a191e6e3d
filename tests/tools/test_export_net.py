"""tools/export_net.py: a detector in two ONNX parts, weights for PyTorch, and refusals."""
import importlib.util
import os

import numpy as np
import onnx
import pytest
import torch
from handful import MODEL
from safetensors.torch import load_file
from test_tool_errors import assert_refused

import caffe
from caffe.files.weights import read_weights
from caffe.proto.caffe_pb2 import NetParameter
from faster_rcnn.detectors.detector import Detector
from faster_rcnn.export.checks.runtimes import installed
from faster_rcnn.export.making import net_for_classes
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
    assert float(done.out.split("Runtime: ")[1].split()[0]) < 1e-4
    assert [top.name for top in onnx.load(path).graph.output] == ["rpn_cls_prob_reshape",
                                                                  "rpn_bbox_pred"]
    done = run_tool(TOOL, "--def", NET, "--net", weights, "--out", tmp_path / "head.onnx",
                    "--check", "--shape", "conv6=1,96,7,8", "rois=5,5", "--start", "conv6", "rois",
                    "--end", "cls_prob", "bbox_pred")
    assert done.status == 0 and "cls_prob (5, 21), bbox_pred (5, 84)" in done.out, done.err
    assert float(done.out.split("Runtime: ")[1].split()[0]) < 1e-4


def test_a_whole_detector_on_a_data_set(run_tool, handful, tmp_path):
    path = tmp_path / "whole.onnx"
    weights = str(tmp_path / "three.caffemodel")
    net = net_for_classes(NET, handful.weights, 3)
    generator = np.random.default_rng(1)
    net.params["conv1"][0].data[...] /= 60      # pixels are large, and equal scores are ties
    for name, spread in (("cls_score", 0.2), ("bbox_pred", 0.02)):
        blob = net.params[name][0].data
        blob[...] = generator.standard_normal(blob.shape) * spread
    net.save(weights)
    done = run_tool(TOOL, "--def", NET, "--net", weights, "--out", path, "--check",
                    f"{handful.card}:test", "--imdb", f"{handful.card}:test", "--cfg",
                    "experiments/cfgs/faster_rcnn_alt_opt_Tiny.yml", "--set", "TEST.SCALES", "[96]")
    assert done.status == 0 and "classes: dark, light" in done.out, done.err
    rows = {line.split("|")[1].strip(): line.split("|") for line in done.out.splitlines()
            if line.startswith("|")}
    assert int(rows["net"][2]) > 0
    for name in installed():
        assert rows[name][2] == rows["net"][2] and int(rows[name][3]) == 0
        assert rows[name][6] == rows["net"][6] != " nan "
    some = run_tool(TOOL, "--def", NET, "--net", weights, "--out", path, "--check",
                    f"{handful.card}:test:1", "--quantize", "int8", "--calibrate",
                    f"{handful.card}:trainval:2", "--classes", "dark,light", "--cfg",
                    "experiments/cfgs/faster_rcnn_alt_opt_Tiny.yml", "--set", "TEST.SCALES", "[96]")
    assert some.status == 0 and "| nan |" in some.out, some.err
    kinds = {node.op_type for node in onnx.load(path).graph.node}
    assert "QuantizeLinear" in kinds and "NonMaxSuppression" in kinds


@pytest.mark.skipif(not os.path.exists(REAL), reason="../shared/weights is not there")
def test_squeezenet_with_published_weights(run_tool, tmp_path):
    done = run_tool(TOOL, "--def", SQUEEZENET, "--net", REAL, "--out", tmp_path / "s.onnx",
                    "--shape", "data=1,3,99,120", "--check")
    assert done.status == 0, done.err
    assert float(done.out.split("Runtime: ")[1].split()[0]) < 1e-4


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
    (["--out", "w.onnx", "--classes", "a,b"], "'cls_score'"),
    (["--out", "w.onnx", "--fp16", "--quantize", "int8"], "choose one"),
    (["--out", "w.onnx", "--quantize", "int8"], "needs --calibrate"),
    (["--out", "w.onnx", "--blobs", "--check", "x"], "without --blobs"),
    (["--out", "w.onnx", "--check"], "--check IMDB"),
    (["--out", "w.onnx", "--opset", "9"], "opset 9 is not one of 14 to 21"),
    (["--out", "w.onnx", "--set", "TEST.SOFT_NMS", "linear"], "TEST.SOFT_NMS"),
    (["--out", "w.onnx", "--end", "rpn_box_pred"], 'did you mean "rpn_bbox_pred"'),
    (["--out", "w.onnx", "--end", "conv6", "--shape", "data"], "is not BLOB=SIZE"),
    (["--out", "w.pt", "--end", "conv6"], "--end has no effect on weights as tensors"),
    (["--out", "w.py", "--fp16", "--opset", "18"], "--fp16, --opset have no effect on PyTorch"),
    (["--out", "w.py", "--v1"], "--v1 has no effect on PyTorch"),
    (["--out", "w.onnx", "--end", "conv6", "--fp16"], "--fp16 has no effect on a part of a net"),
    (["--out", "w.caffemodel", "--end", "conv6"], "--end has no effect on a .caffemodel"),
    (["--out", "w.pt2", "--end", "pool5"], "torch.export cannot follow"),
])
def test_refusals(run_tool, weights, tmp_path, options, says):
    options[1] = tmp_path / options[1]
    assert_refused(run_tool(TOOL, "--def", NET, "--net", weights, *options), says)
    assert os.listdir(tmp_path) == []


def test_weights_of_another_net(run_tool, weights, tmp_path):
    assert_refused(run_tool(TOOL, "--def", SQUEEZENET, "--net", weights, "--out",
                            tmp_path / "w.onnx"), "tiny.caffemodel")


def test_a_described_detector_needs_its_weights_alone(run_tool, tmp_path):
    from small_detector import write_detector
    path = tmp_path / "small.onnx"
    done = run_tool(TOOL, "--net", write_detector(tmp_path), "--out", path)
    assert done.status == 0 and "classes: dark, light" in done.out, done.err
    assert [top.name for top in onnx.load(path).graph.output] == ["boxes", "scores", "labels"]
    tensors = run_tool(TOOL, "--net", tmp_path, "--out", tmp_path / "small.safetensors")
    assert tensors.status == 0, tensors.err
    assert load_file(tmp_path / "small.safetensors")["cls_score.weight"].shape[0] == 3


def test_a_described_detector_as_pytorch_source(run_tool, tmp_path):
    from small_detector import picture, write_detector
    path = write_detector(tmp_path)
    done = run_tool(TOOL, "--net", path, "--out", tmp_path / "source.py")
    assert done.status == 0, done.err
    spec = importlib.util.spec_from_file_location("source", tmp_path / "source.py")
    source = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(source)
    boxes, scores, labels = source.detect(source.load(), torch.from_numpy(picture()))
    wanted = Detector(path, "cpu", threshold=0.05)(picture())
    assert len(wanted) == len(boxes) > 0 and source.CLASSES[1:] == ["dark", "light"]
    assert scores.tolist() == pytest.approx([box.score for box in wanted], abs=1e-5)


def test_a_part_as_a_program(run_tool, weights, tmp_path):
    done = run_tool(TOOL, "--def", NET, "--net", weights, "--out", tmp_path / "trunk.pt2",
                    "--shape", "data=1,3,50,64", "--end", "conv6")
    assert done.status == 0, done.err
    net = caffe.Net(NET, weights, caffe.TEST)
    net.blobs["data"].reshape(1, 3, 50, 64)
    net.blobs["data"].data[...] = np.random.default_rng(0).standard_normal((1, 3, 50, 64))
    data = torch.from_numpy(net.blobs["data"].data.copy())
    found = torch.export.load(tmp_path / "trunk.pt2").module()(data).detach()
    net.forward(end="relu6")
    np.testing.assert_allclose(found, net.blobs["conv6"].data, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("option", [[], ["--v1"]])
def test_weights_for_caffe(run_tool, weights, tmp_path, option):
    done = run_tool(TOOL, "--def", NET, "--net", weights, "--out", tmp_path / "w.caffemodel",
                    *option)
    assert done.status == 0, done.err
    message = NetParameter.FromString((tmp_path / "w.caffemodel").read_bytes())
    assert bool(message.layers) == bool(option) and bool(message.layer) != bool(option)
    ours, theirs = (read_weights(path) for path in (weights, tmp_path / "w.caffemodel"))
    for name, blobs in ours.items():
        for blob, other in zip(blobs, theirs.get(name, []), strict=True):
            assert np.array_equal(blob.ravel(), other.ravel())
    assert caffe.Net(NET, str(tmp_path / "w.caffemodel"), caffe.TEST)
