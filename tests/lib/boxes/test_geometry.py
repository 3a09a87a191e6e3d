"""utils.boxes and the compiled overlaps. Boxes are inclusive: from 0 to 9 are 10 pixels."""
import numpy as np
import torch

from faster_rcnn.boxes import geometry
from faster_rcnn.boxes.cython_bbox import bbox_overlaps

BOX = [[0.0, 0, 9, 9]]                      # 100 pixels
OTHERS = [[0, 0, 9, 9],                     # the same
          [5, 0, 14, 9],                    # 50 of 150
          [9, 9, 18, 18],                   # one pixel of 199
          [10, 0, 19, 9],                   # adjacent: nothing
          [2, 2, 3, 5]]                     # 8 pixels inside
OVERLAPS = [1, 50 / 150, 1 / 199, 0, 8 / 100]


def test_overlaps_by_hand():
    assert bbox_overlaps(np.array(BOX), np.array(OTHERS))[0].tolist() == OVERLAPS
    got = geometry.overlaps(torch.tensor(BOX).double(), torch.tensor(OTHERS).double())
    assert got[0].tolist() == OVERLAPS


def test_overlaps_accept_any_layout_and_nothing():
    others = np.array(OTHERS, np.float32)
    others.flags.writeable = False
    got = bbox_overlaps(others[::2], np.asfortranarray(BOX))
    assert got.shape == (3, 1) and got.dtype == np.float64 and got[2, 0] == 0.08
    assert bbox_overlaps(np.zeros((0, 4)), others).shape == (0, 5)
    assert bbox_overlaps(others, np.zeros((0, 4))).shape == (5, 0)


def test_sizes_centres_and_areas():
    boxes = np.array([[2, 4, 5, 4]], np.float32)
    x, y, widths, heights = geometry.centres_and_sizes(boxes)
    assert (x[0], y[0], widths[0], heights[0]) == (4, 4.5, 4, 1)
    assert geometry.areas(boxes).tolist() == [4] and geometry.areas(boxes).dtype == np.float32


def test_mirroring_twice_changes_nothing():
    boxes = np.array([[0.0, 1, 9, 5], [10, 2, 19, 7]])
    assert geometry.mirrored(boxes, 20).tolist() == [[10, 1, 19, 5], [0, 2, 9, 7]]
    assert np.array_equal(geometry.mirrored(geometry.mirrored(boxes, 20), 20), boxes)
    assert torch.equal(geometry.mirrored(torch.from_numpy(boxes), 20)[0],
                       torch.tensor([10.0, 1, 19, 5]).double())


def test_clipping_takes_numbers_or_tensors_as_limits():
    boxes = torch.tensor([[-5.0, -5, 50, 50, 3, 4, 5, 6]])
    expected = [[0, 0, 19, 9, 3, 4, 5, 6]]
    assert geometry.clipped(boxes, (10, 20, 3)).tolist() == expected
    assert geometry.clipped(boxes, torch.tensor([10.0, 20, 1.5])).tolist() == expected
