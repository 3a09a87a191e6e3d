"""Prepared roidbs: sizes, best classes, regression targets and their statistics."""
import logging

import numpy as np
import pytest
import scipy.sparse
from listed_images import ListedImages, black_images

from faster_rcnn.minibatches.bbox_targets import compute_targets, normalize, target_statistics
from faster_rcnn.minibatches.roidb import add_bbox_regression_targets, log_statistics, prepare_roidb
from faster_rcnn.settings.config import cfg_override


def one_image(folder, entry):
    """A data set of one image, 40 wide and 30 high, with the given entry."""
    return ListedImages(black_images(folder, [(40, 30)]), [entry])


def make_entry(boxes, overlaps, classes):
    """Boxes with their best overlap and class; an overlap of 1 makes an annotation."""
    table = np.zeros((len(boxes), 3), np.float32)
    table[np.arange(len(boxes)), classes] = overlaps
    gt_classes = np.where(np.array(overlaps) == 1, classes, 0).astype(np.int32)
    return {"boxes": np.array(boxes, np.float32).reshape(-1, 4), "gt_classes": gt_classes,
            "gt_overlaps": scipy.sparse.csr_matrix(table), "flipped": False,
            "seg_areas": np.zeros(len(boxes), np.float32)}


def test_prepared_entry(tmp_path):
    entry = make_entry([[0, 0, 9, 9], [0, 0, 39, 29], [5, 5, 6, 6]], [1, .25, 0], [2, 1, 1])
    data_set = one_image(tmp_path, entry)
    prepare_roidb(data_set)
    assert (entry["image"], entry["width"], entry["height"]) == (str(tmp_path / "0.png"), 40, 30)
    assert entry["max_overlaps"].tolist() == [1, .25, 0]
    assert entry["max_classes"].tolist() == [2, 1, 0]


@pytest.mark.parametrize("box, overlap", [
    ([40, 0, 45, 9], 1), ([0, 30, 9, 35], 1), ([-9, 0, -1, 9], 1), ([9, 0, 8, 9], 1),
    ([9, 0, 8, 9], 0), ([0, 0, np.nan, 9], 0)])
def test_bad_boxes_are_named(tmp_path, box, overlap):
    entry = make_entry([[0, 0, 9, 9], box], [1, overlap], [1, 1])
    with pytest.raises(ValueError, match=r"0\.png: box 2 .* 40 x 30"):
        prepare_roidb(one_image(tmp_path, entry))


def test_proposals_may_reach_beyond_the_image(tmp_path):
    prepare_roidb(one_image(tmp_path, make_entry([[-1, 0, 40, 9]], [0], [1])))


def test_overlap_with_the_background_is_refused(tmp_path):
    entry = make_entry([[0, 0, 9, 9]], [.5], [0])
    with pytest.raises(ValueError, match="overlaps the background class"):
        prepare_roidb(one_image(tmp_path, entry))


def test_boxes_per_class_are_told(tmp_path, caplog):
    entry = make_entry([[0, 0, 9, 9], [5, 5, 8, 8], [0, 0, 8, 8]], [1, 1, .8], [1, 1, 1])
    with caplog.at_level(logging.INFO):
        log_statistics(one_image(tmp_path, entry))
    assert caplog.messages == ["listed: 1 images, annotated boxes: a 2, b 0",
                               "listed: no boxes of class b, which cannot be learned"]


# ----------------------------------------------------------------------------------------- targets

def test_targets_by_hand():
    # annotation 10 x 10 at the origin; a box 20 x 10 at x 0 overlaps by 1/2
    boxes = np.array([[0, 0, 9, 9], [0, 0, 19, 9], [30, 0, 39, 9]], np.uint16)
    targets = compute_targets(boxes, np.array([1, .5, 0]), np.array([2, 2, 0]), .5)
    # centre 5 against 10 in units of the width 20; width 10 against 20
    np.testing.assert_allclose(targets, [[2, 0, 0, 0, 0], [2, -.25, 0, np.log(.5), 0], [0] * 5],
                               atol=1e-6)


def test_without_annotations_nothing_is_regressed():
    assert not compute_targets(np.ones((3, 4)), np.full(3, .6), np.ones(3), .5).any()
    assert compute_targets(np.zeros((0, 4)), np.zeros(0), np.zeros(0), .5).shape == (0, 5)


def test_statistics_by_hand():
    images = [np.array([[1, 1, 0, 2, 0], [0, 9, 9, 9, 9]], np.float32),
              np.array([[1, 3, 0, 2, 4]], np.float32), np.zeros((0, 5), np.float32)]
    statistics = target_statistics(images, 3)
    assert statistics.counts.tolist() == [0, 2, 0]
    assert statistics.means.tolist() == [[0] * 4, [2, 0, 2, 2], [0] * 4]
    assert statistics.stds.tolist() == [[0] * 4, [1, 0, 0, 2], [0] * 4]


def test_normalized_targets_have_mean_0_and_std_1():
    rng = np.random.RandomState(0)
    targets = np.hstack((rng.randint(0, 3, (400, 1)), rng.randn(400, 4) * 3 + 1)).astype(np.float32)
    statistics = target_statistics([targets], 3)
    normalize(targets, statistics.means, statistics.stds)
    again = target_statistics([targets], 3)
    np.testing.assert_allclose(again.means[1:], 0, atol=1e-5)
    np.testing.assert_allclose(again.stds[1:], 1, atol=1e-5)


def test_a_class_of_annotations_only_gives_no_nan(caplog):
    # class 1 has a proposal, class 2 only its annotation
    entry = make_entry([[0, 0, 9, 9], [0, 0, 11, 9], [20, 0, 29, 9]], [1, .8, 1], [1, 1, 2])
    entry["max_overlaps"], entry["max_classes"] = np.array([1, .8, 1]), np.array([1, 1, 2])
    with caplog.at_level(logging.WARNING):
        means, stds = add_bbox_regression_targets([entry])
    assert np.isfinite(entry["bbox_targets"]).all()
    assert stds[8:].tolist() == [1] * 4 and means[8:].tolist() == [0] * 4
    assert 0 < stds[4] < 1 and stds[5] == 1          # dx varies, dy does not
    assert caplog.text.count("do not vary") == 1 and "class 1, 2 " in caplog.text


def test_configured_statistics():
    entry = make_entry([[0, 0, 9, 9]], [1], [1])
    entry["max_overlaps"], entry["max_classes"] = np.ones(1), np.ones(1, int)
    settings = {"BBOX_NORMALIZE_TARGETS_PRECOMPUTED": True, "BBOX_NORMALIZE_MEANS": [1, 2, 3, 4],
                "BBOX_NORMALIZE_STDS": [1, 2, 3, 4]}
    with cfg_override(TRAIN=settings):
        means, stds = add_bbox_regression_targets([entry])
    assert means.tolist() == stds.tolist() == [1, 2, 3, 4] * 3
    assert entry["bbox_targets"].tolist() == [[1, -1, -1, -1, -1]]


def test_unprepared_or_empty_roidb_is_refused():
    with pytest.raises(ValueError, match="no images"):
        add_bbox_regression_targets([])
    with pytest.raises(ValueError, match="prepare_roidb"):
        add_bbox_regression_targets([{}])
