"""RoIDataLayer in nets: the tops of Fast R-CNN's first nets, class counts of R-FCN's."""
import cv2
import numpy as np
import pytest
import scipy.sparse
import torch

import caffe
from caffe.files import prototxt
from caffe.operators import ops
from faster_rcnn.minibatches.roidb import add_bbox_regression_targets
from faster_rcnn.settings.config import cfg, cfg_override

ROIS = {"HAS_RPN": False, "SCALES": [30], "MAX_SIZE": 60, "BATCH_SIZE": 8, "IMS_PER_BATCH": 1,
        "FG_FRACTION": 1.0, "BG_THRESH_LO": 0.0, "LOADER_THREADS": 0}
SIX = ("data", "rois", "labels", "bbox_targets", "bbox_inside_weights", "bbox_outside_weights")
FIVE = (*SIX[:4], "bbox_loss_weights")


@pytest.fixture
def roidb(tmp_path):
    """Two images with an annotation of class 1 and one of class 2, and rois around them."""
    rng, entries = np.random.RandomState(0), []
    for i in range(2):
        path = str(tmp_path / f"{i}.png")
        cv2.imwrite(path, rng.randint(0, 256, (30, 40, 3), np.uint8))
        boxes = np.array([[2, 2, 11, 11], [20, 5, 29, 24]], np.float32)
        near = np.repeat(boxes, 5, 0) + rng.randint(-2, 3, (10, 4))
        overlaps = np.zeros((12, 3), np.float32)
        overlaps[[0, 1], [1, 2]] = 1
        overlaps[2:7, 1] = overlaps[7:, 2] = 0.6
        entries.append({
            "image": path, "flipped": False, "width": 40, "height": 30,
            "boxes": np.vstack((boxes, near)).astype(np.float32),
            "gt_classes": np.array([1, 2] + [0] * 10),
            "gt_overlaps": scipy.sparse.csr_matrix(overlaps), "max_overlaps": overlaps.max(1),
            "max_classes": overlaps.argmax(1)})
    return entries


def tops_of(roidb, names, num_classes=3, **options):
    """{top: array} of the first minibatch, after the regression targets were added."""
    text = 'layer { name: "data" type: "Python" ' + " ".join(f'top: "{name}"' for name in names)
    text += (' python_param { module: "roi_data_layer.layer" layer: "RoIDataLayer" '
             f"param_str: \"'num_classes': {num_classes}\" }} }}")
    with cfg_override(TRAIN={**ROIS, **options}):
        net = caffe.Net(prototxt.read_net_text(text), caffe.TRAIN)
        shapes = {name: tuple(net.blobs[name].shape) for name in names}
        add_bbox_regression_targets(roidb)
        np.random.seed(cfg.RNG_SEED)
        net.layers[0].set_roidb(roidb)
        net.forward()
    found = {name: net.blobs[name].data.copy() for name in names}
    assert all(found[name].shape[1:] == shapes[name][1:] for name in names if name != "data")
    return found


def test_five_tops_are_those_of_fast_rcnn_with_the_same_numbers(roidb):
    six, five = tops_of(roidb, SIX), tops_of(roidb, FIVE)
    for old, new in zip(FIVE, SIX):
        assert (five[old] == six[new]).all()
    assert set(np.unique(five["bbox_loss_weights"])) == {0, 1}
    assert (six["bbox_inside_weights"] == six["bbox_outside_weights"]).all()


def test_both_forms_have_the_same_loss(roidb):
    """Published: SmoothL1Loss of three bottoms; now: of four."""
    six, five = tops_of(roidb, SIX), tops_of(roidb, FIVE)
    deltas = torch.from_numpy(np.random.RandomState(1).randn(8, 12).astype(np.float32))
    old = ops.smooth_l1_loss(deltas, *(torch.from_numpy(five[name]) for name in FIVE[3:]))
    new = ops.smooth_l1_loss(deltas, *(torch.from_numpy(six[name]) for name in SIX[3:]))
    assert float(old) == float(new) > 0


@pytest.mark.parametrize("num_classes", [2, 3, 21])
def test_agnostic_boxes_have_two_classes_whatever_the_net_says(roidb, num_classes):
    found = tops_of(roidb, SIX, num_classes, AGNOSTIC=True)
    for name in SIX[3:]:
        assert found[name].shape[1:] == (8, 1, 1)
    assert set(found["labels"].ravel()) >= {1, 2}
    weights = found["bbox_inside_weights"][:, :, 0, 0]
    assert (weights[:, :4] == 0).all()
    assert (weights[:, 4] == (found["labels"].ravel() > 0)).all()


def test_another_number_of_tops_or_classes_is_said(roidb):
    with pytest.raises(Exception, match="the net has 4 tops, but with TRAIN.HAS_RPN False and "
                                        "TRAIN.BBOX_REG True there are 6: data, rois"):
        tops_of(roidb, SIX[:4])
    with pytest.raises(Exception, match="the net is for 21 classes .* the data set has 3"):
        tops_of(roidb, SIX, 21)
