"""How anchors cover objects, by hand; and anchors made for objects."""
import cv2
import numpy as np
import pytest
import scipy.sparse

from faster_rcnn.anchors.coverage import (
    ScaledObjects,
    best_overlaps,
    propose_anchors,
    scaled_objects,
)
from faster_rcnn.anchors.grid import AnchorGrid
from faster_rcnn.datasets.imdb import imdb


def objects(boxes, size=(160, 160)):
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    return ScaledObjects(size, boxes, np.ones(len(boxes), int), np.ones(len(boxes)))


def test_overlaps_by_hand():
    # anchors of 32 x 32 about the 16-pixel cells: from (-8, -8) on, so inside from (8, 8)
    grid = AnchorGrid(16, [2], [1])
    image = objects([[8, 8, 39, 39], [8, 8, 39, 23], [0, 0, 31, 31], [24, 24, 55, 47]])
    # the third: only the anchor at (8, 8) lies inside: 24 * 24 shared
    wanted = [1, .5, 24 * 24 / (2 * 1024 - 24 * 24), .75]
    assert best_overlaps([image], grid) == pytest.approx(wanted)
    assert best_overlaps([image, image], grid).shape == (8,)


def test_images_smaller_than_any_anchor_use_all():
    grid = AnchorGrid(16, [2], [1])
    # the anchor at (-8, -8) covers the object by 9 * 9 pixels of 32 * 32 + 0
    assert best_overlaps([objects([[0, 0, 8, 8]], (16, 16))], grid) == pytest.approx([81 / 1024])


def test_proposed_anchors_are_the_clusters():
    rng = np.random.default_rng(0)
    boxes = []
    for side, ratio in ((32, 1), (64, 2), (128, .5)) * 20:
        width, height = np.array([side / ratio ** .5, side * ratio ** .5]) * rng.uniform(.99, 1.01)
        boxes.append([5, 5, 5 + width - 1, 5 + height - 1])
    scales, ratios = propose_anchors([objects(boxes)], 3, 3)
    assert scales == pytest.approx((2, 4, 8), rel=.02)
    assert ratios == pytest.approx((.5, 1, 2), rel=.02)
    assert propose_anchors([objects([[0, 0, 15, 15]] * 5)], 3, 3) == ((1.0,), (1.0,))
    with pytest.raises(ValueError, match="no objects"):
        propose_anchors([], 3, 3)


def test_objects_of_a_data_set(tmp_path):
    data_set = imdb("two")
    data_set._image_index = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    data_set.image_path_at = lambda i: data_set._image_index[i]
    for path in data_set._image_index:
        cv2.imwrite(path, np.zeros((50, 100, 3), np.uint8))
    entry = {"boxes": np.array([[0, 10, 9, 19], [0, 0, 9, 9]], np.uint16),
             "gt_classes": np.array([1, 1]), "seg_areas": np.array([100., 100.]),
             "gt_overlaps": scipy.sparse.csr_matrix([[0, 1.], [-1, -1.]])}       # one is a crowd
    empty = {"boxes": np.zeros((0, 4)), "gt_overlaps": scipy.sparse.csr_matrix((0, 2))}
    data_set.gt_roidb = lambda: [entry, empty]
    first, second = scaled_objects(data_set, (100, 600), 400)
    assert (first.size, second.size) == ((200, 100), (400, 200))
    assert first.boxes.tolist() == [[0, 20, 18, 38]] and second.boxes.tolist() == [[0, 40, 36, 76]]
    assert first.areas.tolist() == [100]
    assert len(scaled_objects(data_set, (100,), 400, num_images=1)) == 1
