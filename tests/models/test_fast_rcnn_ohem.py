"""A training step of Fast R-CNN on hard rois."""
import os

import numpy as np
import one_image

from fast_rcnn.config import cfg, cfg_override
from roi_data_layer.roidb import add_bbox_regression_targets

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
