"""What R-FCN asks of the detector: boxes alike for all classes, all rois, a normalised RPN."""
import numpy as np
import pytest
import torch

import caffe
from faster_rcnn.anchors.options import AnchorTargetOptions
from faster_rcnn.anchors.targets import anchor_targets
from faster_rcnn.boxes.sampling import expand_targets, rois_per_image, sample_rois, with_four_axes
from faster_rcnn.detection.detect import im_detect
from faster_rcnn.minibatches.minibatch import get_minibatch
from faster_rcnn.minibatches.roidb import add_bbox_regression_targets
from faster_rcnn.prototxts.regressors import regressors, unnormalized
from faster_rcnn.settings.config import cfg_override

REGRESSORS = """
layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 1 dim: 2 dim: 3 dim: 3 } } }
layer { name: "rfcn_bbox" type: "Convolution" bottom: "d" top: "a"
  convolution_param { num_output: 32 kernel_size: 1 weight_filler { type: "gaussian" }
                      bias_filler { type: "gaussian" } } }
layer { name: "rpn_bbox_pred" type: "Convolution" bottom: "d" top: "b"
  convolution_param { num_output: 12 kernel_size: 1 weight_filler { type: "gaussian" }
                      bias_filler { type: "gaussian" } } }
"""
DETECTOR = """
layer { name: "rois" type: "Input" top: "rois" input_param { shape { dim: 2 dim: 5 } } }
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 4 dim: 4 } }
}
layer { name: "s" type: "InnerProduct" bottom: "rois" top: "s"
  inner_product_param { num_output: 3 } }
layer { name: "p" type: "Softmax" bottom: "s" top: "cls_prob" }
layer { name: "b" type: "InnerProduct" bottom: "rois" top: "bbox_pred"
  inner_product_param { num_output: 8 bias_filler { type: "constant" value: 0 } } }
"""


def net_of(text, tmp_path):
    (tmp_path / "net.pt").write_text(text)
    return caffe.Net(str(tmp_path / "net.pt"), caffe.TEST)


def test_targets_of_every_class_stand_in_the_columns_of_class_1():
    labels = torch.tensor([3.0, 0, 1])
    deltas = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]])
    targets, inside = expand_targets(labels, deltas, 2, (1, 1, 2, 2), agnostic=True)
    assert targets.tolist() == [[0, 0, 0, 0, 1, 2, 3, 4], [0] * 8, [0, 0, 0, 0, 9, 10, 11, 12]]
    assert inside.tolist() == [[0] * 4 + [1, 1, 2, 2], [0] * 8, [0] * 4 + [1, 1, 2, 2]]
    assert with_four_axes(labels).shape == (3, 1, 1, 1)
    assert with_four_axes(targets.numpy()).shape == (3, 8, 1, 1)


def test_minus_one_takes_every_roi_that_is_foreground_or_background():
    overlaps = torch.tensor([0.9, 0.05, 0.3, 0.5, 0.45])
    keep, num_fg = sample_rois(overlaps, rois_per_image(-1, 1), 0.25, 0.5, (0.1, 0.5))
    assert num_fg == 2 and sorted(keep[:2].tolist()) == [0, 3]
    assert sorted(keep[2:].tolist()) == [2, 4]


@pytest.mark.parametrize("size,images", [(0, 1), (-2, 1), (5, 2)])
def test_sizes_that_cannot_be_shared_are_refused(size, images):
    with pytest.raises(ValueError, match=f"BATCH_SIZE {size} cannot be shared"):
        rois_per_image(size, images)


def test_statistics_count_all_classes_as_one(roidb, settings):
    with settings("fast_rcnn", AGNOSTIC=True, IMS_PER_BATCH=1, BATCH_SIZE=-1):
        means, stds = add_bbox_regression_targets(roidb)
        assert means.shape == stds.shape == (8,)
        rows = np.concatenate([entry["bbox_targets"] for entry in roidb])
        assert set(rows[:, 0]) == {0, 1}
        learned = rows[rows[:, 0] == 1, 1:]
        np.testing.assert_allclose(learned.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(learned.std(0), 1, atol=1e-4)
        blobs = get_minibatch(roidb[:1], 2, np.random.RandomState(0))
    rois = len(blobs["labels"])
    usable = (roidb[0]["max_overlaps"] >= 0).sum()
    assert rois == usable and blobs["labels"].shape == (rois, 1, 1, 1)
    assert blobs["rois"].shape == (rois, 5, 1, 1)
    assert blobs["bbox_targets"].shape == (rois, 8, 1, 1)
    assert set(blobs["labels"].ravel()) == {0, 1, 2}


def test_anchor_targets_are_normalised():
    anchors = torch.tensor([[0.0, 0, 9, 9], [20, 20, 29, 29]], dtype=torch.float64)
    gt = torch.tensor([[1.0, 2, 10, 11]])
    options = AnchorTargetOptions(0, 0.5, 0.3, False, 8, 0.5, (1, 1, 1, 1), -1)
    plain = anchor_targets(anchors, gt, (40, 40), options).bbox_targets
    assert plain[0].tolist() == pytest.approx([0.1, 0.2, 0, 0])
    normal = options._replace(normalization=((0.1, 0, 0, 1), (1, 0.5, 1, 2)))
    targets = anchor_targets(anchors, gt, (40, 40), normal).bbox_targets
    assert targets[0].tolist() == pytest.approx([0, 0.4, 0, -0.5])


def test_snapshots_predict_plain_targets_and_the_net_goes_on(tmp_path):
    net = net_of(REGRESSORS, tmp_path)
    before = {name: [blob.data.copy() for blob in blobs] for name, blobs in net.params.items()}
    means, stds = np.arange(8) / 8, np.arange(1, 9) / 4
    with cfg_override(TRAIN={"RPN_NORMALIZE_TARGETS": True, "RPN_NORMALIZE_MEANS": [1, 2, 3, 4],
                             "RPN_NORMALIZE_STDS": [2, 4, 6, 8]}):
        found = regressors(net, means, stds)
    assert {one.layer for one in found} == {"rfcn_bbox", "rpn_bbox_pred"}
    data = np.random.RandomState(1).rand(1, 2, 3, 3).astype(np.float32)
    normal = {top: blob.copy() for top, blob in net.forward(d=data).items()}
    with unnormalized(net, found):
        plain = {top: blob.copy() for top, blob in net.forward(d=data).items()}
    # four bins per column, all bins of a column together; anchors repeat the four coordinates
    columns = np.arange(32) // 4
    np.testing.assert_allclose(plain["a"], normal["a"] * stds[columns][:, None, None]
                               + means[columns][:, None, None], rtol=1e-4, atol=1e-5)
    coordinates = np.arange(12) % 4
    np.testing.assert_allclose(
        plain["b"], normal["b"] * np.array([2, 4, 6, 8])[coordinates][:, None, None]
        + np.array([1, 2, 3, 4])[coordinates][:, None, None], rtol=1e-4, atol=1e-5)
    assert all((blob.data == old).all() for name, blobs in net.params.items()
               for blob, old in zip(blobs, before[name]))


def test_what_cannot_be_normalised_is_said_in_one_line(tmp_path):
    net = net_of(REGRESSORS, tmp_path)
    with pytest.raises(ValueError, match="rfcn_bbox has 32 outputs.*3 classes.*need 12"):
        regressors(net, np.zeros(12), np.ones(12))
    with cfg_override(TRAIN={"RPN_NORMALIZE_TARGETS": True, "RPN_NORMALIZE_STDS": [1, 0, 1, 1]}):
        with pytest.raises(ValueError, match="RPN_NORMALIZE_STDS must be positive"):
            regressors(net, np.zeros(8), np.ones(8))


def test_detections_of_all_classes_share_the_boxes_of_objects(tmp_path):
    net = net_of(DETECTOR, tmp_path)
    net.params["b"][1].data[...] = [9, 9, 9, 9, 0.5, 0, 0, 0]
    im, rois = np.zeros((100, 100, 3), np.uint8), np.array([[10, 10, 29, 29], [40, 40, 59, 79]])
    with cfg_override(TEST={"AGNOSTIC": True, "SCALES": [100]}):
        scores, boxes = im_detect(net, im, rois)
    assert scores.shape == (2, 3) and boxes.shape == (2, 12)
    # 20 pixels wide: half a width to the right; the far corner is one pixel further
    np.testing.assert_allclose(boxes, np.tile([[20, 10, 40, 30], [50, 40, 70, 80]], (1, 3)))
    with cfg_override(TEST={"SCALES": [100]}):
        with pytest.raises(ValueError, match="8 columns for 3 classes.*TEST.AGNOSTIC"):
            im_detect(net, im, rois)
