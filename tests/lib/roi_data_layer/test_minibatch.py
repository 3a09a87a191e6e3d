"""Minibatches from prepared entries; recorded ones are in test_golden_pfr.py."""
import cv2
import numpy as np
import pytest

from faster_rcnn.images.reading import ImageError
from faster_rcnn.minibatches.minibatch import get_minibatch
from faster_rcnn.minibatches.options import MinibatchOptions
from faster_rcnn.settings.config import cfg_override

RPN = {"HAS_RPN": True, "SCALES": [30], "MAX_SIZE": 80}
ROIS = {"HAS_RPN": False, "SCALES": [30], "MAX_SIZE": 80, "BATCH_SIZE": 4, "FG_FRACTION": 0.5}


@pytest.fixture
def entry(tmp_path):
    """An image 40 x 30: left half black, right half white; an annotation, two overlapping boxes,
    two others.
    """
    im = np.zeros((30, 40, 3), np.uint8)
    im[:, 20:] = 255
    cv2.imwrite(str(tmp_path / "im.png"), im)
    boxes = np.array([[0, 0, 9, 9], [0, 0, 10, 9], [0, 0, 9, 10], [20, 0, 29, 9], [30, 9, 39, 19]])
    targets = np.array([[1, 0, 0, 0, 0], [1, 1, 2, 3, 4], [1, 5, 6, 7, 8], [0] * 5, [0] * 5])
    return {"image": str(tmp_path / "im.png"), "flipped": False, "boxes": boxes.astype(np.uint16),
            "gt_classes": np.array([1, 0, 0, 0, 0], np.int32),
            "max_overlaps": np.array([1, .9, .9, .2, .1], np.float32),
            "max_classes": np.array([1, 1, 1, 2, 2]), "bbox_targets": targets.astype(np.float32)}


def test_rpn_blobs(entry):
    with cfg_override(TRAIN={**RPN, "SCALES": [60]}):
        blobs = get_minibatch([entry], 3)
    assert list(blobs) == ["data", "im_info", "gt_boxes"]
    assert blobs["data"].shape == (1, 3, 60, 80)
    assert blobs["im_info"].tolist() == [[60, 80, 2]]
    assert blobs["gt_boxes"].tolist() == [[0, 0, 18, 18, 1]]


def test_rpn_blobs_of_several_images(entry, tmp_path):
    cv2.imwrite(str(tmp_path / "tall.png"), np.full((40, 30, 3), 9, np.uint8))
    bare = {**entry, "gt_classes": np.zeros(5, np.int32)}
    tall = {**entry, "image": str(tmp_path / "tall.png"),
            "gt_classes": np.array([1, 0, 0, 2, 0], np.int32)}
    with cfg_override(TRAIN={**RPN, "SCALES": [60]}):
        blobs = get_minibatch([entry, bare, tall], 3)
        alone = get_minibatch([tall], 3)["data"]
    assert blobs["data"].shape == (3, 3, 80, 80)
    assert not blobs["data"][:2, :, 60:].any() and not blobs["data"][2, :, :, 60:].any()
    assert (blobs["data"][2:, :, :, :60] == alone).all()
    assert blobs["im_info"].tolist() == [[60, 80, 2], [60, 80, 2], [80, 60, 2]]
    assert blobs["gt_boxes"].tolist() == [
        [0, 0, 18, 18, 1, 0], [0, 0, 18, 18, 1, 2], [40, 0, 58, 18, 2, 2]]
    assert blobs["gt_boxes"].dtype == blobs["im_info"].dtype == np.float32


def test_sides_are_padded_to_multiples(entry):
    with cfg_override(TRAIN={**RPN, "SCALES": [60], "SCALE_MULTIPLE_OF": 32}):
        blobs = get_minibatch([entry], 3)
    assert blobs["data"].shape == (1, 3, 64, 96) and blobs["im_info"].tolist() == [[60, 80, 2]]
    with cfg_override(TRAIN={**ROIS, "SCALE_MULTIPLE_OF": 64}):
        assert get_minibatch([entry], 3)["data"].shape == (1, 3, 64, 64)


def test_mirrored_images_are_mirrored_when_read(entry):
    with cfg_override(TRAIN=RPN):
        plain = get_minibatch([entry], 3)["data"]
        mirrored = get_minibatch([{**entry, "flipped": True}], 3)["data"]
    assert (mirrored == plain[:, :, :, ::-1]).all() and (mirrored != plain).any()
    assert plain[0, :, 0, 0] == pytest.approx([-102.9801, -115.9465, -122.7717])


def test_roi_blobs(entry):
    with cfg_override(TRAIN=ROIS):
        blobs = get_minibatch([entry], 3, np.random.RandomState(0))
    assert blobs["labels"].tolist() == [1, 1, 0, 0]
    assert blobs["rois"].shape == (4, 5) and blobs["rois"][2:, 1].min() == 20
    for row, (roi, label) in enumerate(zip(blobs["rois"], blobs["labels"])):
        number = int(np.where((entry["boxes"] == roi[1:]).all(axis=1))[0][0])
        wanted = np.zeros(12)
        if label:
            wanted[4:8] = entry["bbox_targets"][number, 1:]
        assert blobs["bbox_targets"][row].tolist() == wanted.tolist()
        weights = [0] * 4 + [float(label)] * 4 + [0] * 4
        assert blobs["bbox_inside_weights"][row].tolist() == weights
        assert blobs["bbox_outside_weights"][row].tolist() == weights


def test_smaller_images_are_padded(entry, tmp_path):
    cv2.imwrite(str(tmp_path / "tall.png"), np.full((60, 30, 3), 9, np.uint8))
    with cfg_override(TRAIN=ROIS):
        blobs = get_minibatch([entry, {**entry, "image": str(tmp_path / "tall.png")}], 3)
    assert blobs["data"].shape == (2, 3, 60, 40)
    assert not blobs["data"][0, :, 30:].any() and not blobs["data"][1, :, :, 30:].any()
    assert sorted(set(blobs["rois"][:, 0])) == [0, 1]


def test_without_box_regression(entry):
    with cfg_override(TRAIN={**ROIS, "BBOX_REG": False}):
        assert list(get_minibatch([entry], 3)) == ["data", "rois", "labels"]


def test_options_and_seed_decide_alone(entry):
    with cfg_override(TRAIN=ROIS):
        options = MinibatchOptions.from_cfg()
        first = get_minibatch([entry], 3, np.random.RandomState(7), options)
    second = get_minibatch([entry], 3, np.random.RandomState(7), options)
    assert all((first[name] == second[name]).all() for name in first)


def test_scales_are_drawn(entry):
    with cfg_override(TRAIN={**RPN, "SCALES": [15, 30, 45]}):
        heights = {get_minibatch([entry], 3)["data"].shape[2] for _ in range(40)}
    assert heights == {15, 30, 45}


def test_what_cannot_work_is_said(entry):
    with cfg_override(TRAIN={**ROIS, "BATCH_SIZE": 5}):
        with pytest.raises(ValueError, match="evenly by 2"):
            get_minibatch([entry, entry], 3)
    with cfg_override(TRAIN=RPN), pytest.raises(ImageError, match="gone.png is not there"):
        get_minibatch([{**entry, "image": "gone.png"}], 3)


def test_damaged_image_is_named(entry, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    with cfg_override(TRAIN=RPN), pytest.raises(ImageError, match="broken.jpg cannot be decoded"):
        get_minibatch([{**entry, "image": str(tmp_path / "broken.jpg")}], 3)
