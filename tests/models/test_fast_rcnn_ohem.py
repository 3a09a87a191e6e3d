"""Fast R-CNN on hard rois: its net, and a training step."""
import os

import numpy as np
import one_image

from caffe.files import prototxt
from faster_rcnn.minibatches.roidb import add_bbox_regression_targets
from faster_rcnn.prototxts.changes import change_net
from faster_rcnn.prototxts.options import NetOptions
from faster_rcnn.settings.config import cfg, cfg_override

NET = os.path.join(cfg.MODELS_DIR, "VGG_CNN_M_1024", "fast_rcnn_ohem", "train.prototxt")


def test_the_head_learns_from_hard_rois_and_its_copy_follows(tmp_path):
    entries = one_image.roidb(tmp_path, proposals=20)
    with cfg_override(TRAIN={"SCALES": [96], "MAX_SIZE": 128, "IMS_PER_BATCH": 1, "BATCH_SIZE": 6,
                             "BG_THRESH_LO": 0.0, "USE_OHEM": True, "LOADER_THREADS": 1}):
        add_bbox_regression_targets(entries)
        solver, before = one_image.trained(NET, tmp_path, entries)
    net = solver.net
    assert np.isfinite(solver.last_loss) and solver.last_loss > 0
    assert len(net.blobs["rois"].data) == 22 and len(net.blobs["rois_hard"].data) <= 6
    assert {tuple(row) for row in net.blobs["rois_hard"].data} <= {
        tuple(row) for row in net.blobs["rois"].data}
    moved = one_image.moved(net, before)
    assert {"conv2", "conv5", "fc6", "fc7", "cls_score", "bbox_pred"} <= moved
    assert "conv1" not in moved
    for name in ("fc6", "fc7", "cls_score", "bbox_pred"):
        for own, copy in zip(net.params[name], net.params[f"{name}_readonly"]):
            np.testing.assert_array_equal(own.data, copy.data)


def test_the_copy_of_the_head_shares_its_weights_and_learns_nothing():
    layers = {layer.name: layer for layer in prototxt.read_net(NET).layer}
    for name in ("fc6", "fc7", "cls_score", "bbox_pred"):
        own, copy = layers[name], layers[f"{name}_readonly"]
        assert [p.name for p in own.param] == [p.name for p in copy.param] == [f"{name}_w",
                                                                              f"{name}_b"]
        assert [(p.lr_mult, p.decay_mult) for p in own.param] == [(1, 1), (2, 0)]
        assert not any(p.HasField("lr_mult") for p in copy.param)
        assert list(copy.propagate_down) == [False]
    miner = layers["hard_roi_mining"]
    assert list(miner.propagate_down) == [False] * 7
    assert list(miner.bottom)[:4] == ["cls_prob_readonly", "bbox_pred_readonly", "rois", "labels"]
    assert list(layers["roi_pool5"].bottom) == ["conv5", "rois_hard"]
    assert list(layers["loss_bbox"].bottom) == ["bbox_pred"] + [
        f"bbox_{kind}_hard" for kind in ("targets", "inside_weights", "outside_weights")]
    solver = prototxt.read_solver(os.path.join(os.path.dirname(NET), "solver.prototxt"))
    assert (solver.max_iter, solver.stepsize, solver.iter_size) == (40000, 30000, 2)


def test_the_class_count_follows_in_both_heads():
    net = prototxt.read_net(NET)
    assert change_net(net, NetOptions(21), "net").sentences == []
    net, _ = change_net(net, NetOptions(4), "net")
    layers = {layer.name: layer for layer in net.layer}
    for suffix in ("", "_readonly"):
        assert layers[f"cls_score{suffix}"].inner_product_param.num_output == 4
        assert layers[f"bbox_pred{suffix}"].inner_product_param.num_output == 16
    assert "'num_classes': 4" in layers["hard_roi_mining"].python_param.param_str
