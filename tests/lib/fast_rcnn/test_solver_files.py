"""Which net a solver names, and nets of Fast R-CNN's first release."""
import os
import shutil

import numpy as np
import pytest
from small_training import FAST_RCNN, ROI_TOPS, data_layer

import caffe
from caffe import prototxt
from fast_rcnn.config import cfg, cfg_override
from fast_rcnn.solver_files import Numbers, adapt_solver


@pytest.mark.parametrize("deeper", ["", "models/pascal_voc/ZF/faster_rcnn_end2end"])
def test_a_solver_in_somebody_elses_project_means_the_net_beside_it(deeper, tmp_path):
    inner = "models/pascal_voc/ZF/faster_rcnn_end2end"
    theirs = tmp_path / "theirs" / deeper
    shutil.copytree(os.path.join(cfg.ROOT_DIR, inner), theirs)
    net = (theirs / "train.prototxt").read_text()
    (theirs / "train.prototxt").write_text(net.replace("num_output: 18", "num_output: 6"))
    solver = (theirs / "solver.prototxt").read_text()
    named = "train.prototxt" if not deeper else f"{inner}/train.prototxt"
    assert f"{inner}/train.prototxt" in solver and "num_output: 18" in net
    (theirs / "solver.prototxt").write_text(solver.replace(f"{inner}/train.prototxt", named))
    made = adapt_solver(str(theirs / "solver.prototxt"), str(tmp_path / "out"), 3, Numbers(5))
    layers = {layer.name: layer for layer in prototxt.read_net(made.net.path).layer}
    assert layers["rpn_cls_score"].convolution_param.num_output == 6


def test_nets_with_bbox_loss_weights_only(tmp_path):
    tops = (*ROI_TOPS[:4], "bbox_loss_weights")
    head = FAST_RCNN.format().replace(
        'bottom: "bbox_inside_weights" bottom: "bbox_outside_weights"',
        'bottom: "bbox_loss_weights"')
    (tmp_path / "net.prototxt").write_text(data_layer(tops) + head)
    with cfg_override(TRAIN={"HAS_RPN": False}):
        net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TRAIN)
    weights = np.zeros((2, 12), np.float32)
    weights[0, 4:8] = 1
    entry = {"bbox_targets": np.full((2, 12), 3, np.float32), "bbox_loss_weights": weights}
    for name, values in entry.items():
        net.blobs[name].reshape(*values.shape)
        net.blobs[name].data[...] = values
    net.blobs["bbox_pred"].reshape(2, 12)
    net.blobs["bbox_pred"].data[...] = 1
    assert net.forward(start="loss_bbox", end="loss_bbox")["loss_bbox"] == 4 * (2 - 0.5) / 2
