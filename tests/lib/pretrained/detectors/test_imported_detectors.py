"""Detectors of other programs, imported by the tool, have the numbers of their own nets."""
import os
import runpy
import sys

import numpy as np
import pytest
import torch
from handful import TOOLS
from torch_detectors import (
    Detectron2C4,
    JwyangResNet,
    JwyangVgg,
    RuotianluoResNet,
    RuotianluoVgg,
    tensorflow_variables,
)
from torch_nets import SimpleFasterRcnn, randomized

import caffe
from caffe.export.source.pieces import roi_align, roi_pool
from faster_rcnn.anchors.grid import AnchorGrid, map_to_rows
from faster_rcnn.boxes.transform import bbox_transform_inv
from faster_rcnn.pretrained.families import convert
from faster_rcnn.pretrained.reading.checkpoints import CheckpointError
from faster_rcnn.settings.config import cfg_override

STDS = torch.tensor([0.1, 0.1, 0.2, 0.2])
SIZE = 203, 258       # no multiples of the stride: roundings of sizes show


def imported(monkeypatch, folder, checkpoint):
    """The net that tools/import_weights.py writes of a checkpoint's file."""
    paths = [os.path.join(folder, name) for name in ("w.caffemodel", "net.prototxt")]
    monkeypatch.setattr(sys, "argv", [os.path.join(TOOLS, "import_weights.py"), "--from",
                                      str(checkpoint), "--out", paths[0], "--out_def", paths[1]])
    monkeypatch.syspath_prepend(TOOLS)
    with cfg_override(), pytest.raises(SystemExit) as stop:
        runpy.run_path(sys.argv[0], run_name="__main__")
    assert stop.value.code == 0
    with cfg_override(TEST={"RPN_MIN_SIZE": 2, "RPN_POST_NMS_TOP_N": 20}):
        net = caffe.Net(paths[1], caffe.TEST, weights=paths[0])
    assert not net.last_copy.missing and not net.last_copy.ignored_source
    return net


def run(net, seed=0):
    """Runs the net on a noisy picture; the picture and the rois as tensors."""
    height, width = SIZE
    data = np.random.default_rng(seed).normal(0, 0.5, (1, 3, height, width)).astype(np.float32)
    net.blobs["data"].reshape(*data.shape)
    net.blobs["data"].data[...] = data
    net.blobs["im_info"].data[...] = [[height, width, 1]]
    net.forward()
    return torch.from_numpy(data), torch.from_numpy(net.blobs["rois"].data.copy())


def assert_close(ours, theirs):
    theirs = theirs.detach().numpy()
    assert np.abs(theirs).max() > 0.01
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())


def saved(folder, module, **more):
    path = os.path.join(folder, "checkpoint.pth")
    torch.save({"model": module.state_dict(), "epoch": 6, **more}, path)
    return path


def assert_equal_ports(net, module):
    """A port of py-faster-rcnn: equal scores and deltas of RPN and head, for our rois."""
    data, rois = run(net)
    assert len(rois) > 3
    with torch.no_grad():
        features = module.features(data)
        scores, deltas = module.rpn(features)
        classes, boxes = module.head(module.pool(features, rois))
    assert_close(net.blobs["rpn_cls_score"].data, scores)
    assert_close(net.blobs["rpn_bbox_pred"].data, deltas)
    assert_close(net.blobs["cls_score"].data, classes)
    plain = (boxes.unflatten(1, (-1, 4)) * STDS).flatten(1)
    assert_close(net.blobs["bbox_pred"].data[:, -plain.shape[1]:], plain)


@pytest.mark.parametrize("module, more", [
    (JwyangResNet, {"pooling_mode": "pool"}), (JwyangVgg, {"pooling_mode": "align"}),
    (RuotianluoResNet, {}), (RuotianluoVgg, {})])
def test_ports_of_py_faster_rcnn(monkeypatch, tmp_path, module, more):
    module = randomized(module())
    net = imported(monkeypatch, tmp_path, saved(tmp_path, module, **more))
    assert_equal_ports(net, module)


def test_deltas_that_all_classes_share(monkeypatch, tmp_path, capsys):
    module = randomized(JwyangResNet(deltas=4))
    net = imported(monkeypatch, tmp_path, saved(tmp_path, module, pooling_mode="pool",
                                                class_agnostic=True))
    assert "TEST.AGNOSTIC True" in capsys.readouterr().out
    assert net.blobs["bbox_pred"].shape[1] == 8
    assert_equal_ports(net, module)


def test_variables_of_tensorflow(monkeypatch, tmp_path):
    module = randomized(RuotianluoVgg())
    # TensorFlow's poolings (SAME) round up, as Caffe's
    for part in module.vgg.features:
        if isinstance(part, torch.nn.MaxPool2d):
            part.ceil_mode = True
    module.pool = lambda features, rois: roi_align(features, rois, (7, 7), 1 / 16, 0, True)
    path = tmp_path / "vgg16.npz"
    np.savez(path, **tensorflow_variables(module), Variable=np.float32(0.001),
             **{"vgg_16/fc7/biases/Momentum": np.zeros(10, np.float32)})
    assert_equal_ports(imported(monkeypatch, tmp_path, path), module)


def test_detectron2(monkeypatch, tmp_path, capsys):
    module = randomized(Detectron2C4())
    path = tmp_path / "r50_c4.pth"
    torch.save({"model": module.checkpoint()}, path)
    net = imported(monkeypatch, tmp_path, path)
    assert "[[[103.53, 116.28, 123.675]]]" in capsys.readouterr().out
    data, rois = run(net)
    with torch.no_grad():
        features = module.features(data)
        logits, deltas = module.rpn(features)
        classes, boxes = module.head(module.pool(features, rois))
    height, width = logits.shape[2:]

    objects = map_to_rows(torch.from_numpy(net.blobs["rpn_cls_prob_reshape"].data)[:, 15:], 1)
    objects = objects.reshape(height * width, 3, 5).transpose(1, 2).flatten()    # size by size
    assert_close(objects, logits.permute(0, 2, 3, 1).flatten().sigmoid())
    ours = map_to_rows(torch.from_numpy(net.blobs["rpn_bbox_pred"].data), 4)
    grid = AnchorGrid(feat_stride=16, scales=(2, 4, 8, 16, 32))
    found = bbox_transform_inv(grid(height, width, "cpu"), ours)
    found = found.reshape(height * width, 3, 5, 4).transpose(1, 2).reshape(-1, 4)
    wanted = module.boxes(module.anchors(height, width),
                          deltas.permute(0, 2, 3, 1).reshape(-1, 4))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-2)

    assert_close(net.blobs["cls_score"].data, classes.roll(1, 1))
    plain = (boxes.unflatten(1, (-1, 4)) / torch.tensor([10, 10, 5, 5])).flatten(1)
    assert_close(net.blobs["bbox_pred"].data[:, 4:], plain)
    assert not net.blobs["bbox_pred"].data[:, :4].any()


def test_simple_faster_rcnn_brings_its_net(monkeypatch, tmp_path):
    """Its numbers are compared in tests/lib/pretrained/test_pretrained.py."""
    module = randomized(SimpleFasterRcnn())
    path = os.path.join(tmp_path, "checkpoint.pth")
    torch.save({"model": module.state_dict(), "config": {"caffe_pretrain": True}}, path)
    net = imported(monkeypatch, tmp_path, path)
    data, rois = run(net)
    with torch.no_grad():
        features = module.extractor(data)
        x = module.head.classifier(roi_pool(features, rois, (7, 7), 1 / 16).flatten(1))
        assert_close(net.blobs["cls_score"].data, module.head.score(x))


@pytest.mark.parametrize("mark, nets", [
    ("backbone.fpn.inner_blocks.0.0.weight", "torchvision's detectors"),
    ("backbone.fpn_lateral2.weight", "Detectron2's detectors")])
def test_feature_pyramids_are_refused(mark, nets):
    with pytest.raises(CheckpointError, match=f"{nets}.*proposals of several maps"):
        convert({mark: torch.zeros(1)}, {})


def test_other_numbers_of_anchors():
    module = RuotianluoResNet(anchors=5)
    with pytest.raises(CheckpointError, match="an RPN with 5 anchors at a place; known: 9"):
        convert(module.state_dict(), {})


@pytest.mark.parametrize("name, change", [
    ("RCNN_rpn.RPN_Conv.weight", lambda tensor: torch.ones(())),
    ("RCNN_bbox_pred.bias", lambda tensor: tensor[:8]),
    ("RCNN_base.4.1.conv2.weight", lambda tensor: torch.ones(()))])
def test_tensors_of_other_shapes_than_their_names_say(name, change):
    tensors = dict(JwyangResNet().state_dict())
    tensors[name] = change(tensors[name])
    with pytest.raises(CheckpointError, match="do not have the shapes.*last one read was"):
        convert(tensors, {})
