"""Helpers for lists of boxes."""
import numpy as np
import pytest

from faster_rcnn.boxes import rows as ds_utils

BOXES = np.array([[0, 0, 9, 9], [5, 5, 5, 9], [0, 0, 9, 9], [0.4, 0, 9, 9]])


def test_unique_boxes_keeps_the_first_of_each():
    assert ds_utils.unique_boxes(BOXES).tolist() == [0, 1]
    assert ds_utils.unique_boxes(BOXES, scale=10).tolist() == [0, 1, 3]


def test_corners_and_sizes():
    sized = ds_utils.xyxy_to_xywh(BOXES)
    assert sized[:2].tolist() == [[0, 0, 10, 10], [5, 5, 1, 5]]
    assert ds_utils.xywh_to_xyxy(sized).tolist() == BOXES.tolist()


def test_small_boxes_are_filtered():
    assert ds_utils.filter_small_boxes(BOXES, 2).tolist() == [0, 2, 3]


def test_boxes_must_lie_in_the_image():
    ds_utils.validate_boxes(BOXES, width=10, height=10)
    ds_utils.validate_boxes(BOXES[:0], width=10, height=10)
    for box in ([-1, 0, 5, 5], [0, 0, 10, 5], [0, 0, 5, 10], [6, 0, 5, 5]):
        with pytest.raises(ValueError, match="box 2 "):
            ds_utils.validate_boxes(np.array([[0, 0, 1, 1], box]), width=10, height=10)
