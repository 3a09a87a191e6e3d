"""fast_rcnn.sampling: which rois are drawn, what they are trained for."""
import numpy as np
import pytest
import torch

from faster_rcnn.boxes.sampling import draw, expand_targets, nearest_boxes, roi_targets, sample_rois


def sample(overlaps, batch_size, fraction=0.25, fg=0.5, bg=(0.1, 0.5), seed=0):
    return sample_rois(torch.tensor(overlaps), batch_size, fraction, fg, bg,
                       np.random.RandomState(seed))


def test_thresholds_are_half_open():
    keep, num_fg = sample([0.5, 0.49, 0.1, 0.09, 0.9], 100)
    assert num_fg == 2 and set(keep[:2].tolist()) == {0, 4}
    assert set(keep[2:].tolist()) == {1, 2}


@pytest.mark.parametrize("batch_size, fraction, num_fg, num_bg", [
    (128, 0.25, 32, 96), (10, 0.25, 2, 8), (14, 0.25, 4, 10), (128, 0.5, 40, 88),
    (300, 0.25, 40, 200)])
def test_counts(batch_size, fraction, num_fg, num_bg):
    # 40 foreground and 200 background candidates; 2.5 rounds to 2, 3.5 to 4
    keep, drawn_fg = sample([0.9] * 40 + [0.2] * 200 + [0.0] * 5, batch_size, fraction)
    assert (drawn_fg, len(keep) - drawn_fg) == (num_fg, num_bg)
    assert len(set(keep.tolist())) == len(keep)
    assert (keep[:num_fg] < 40).all() and ((keep[num_fg:] >= 40) & (keep[num_fg:] < 240)).all()


def test_nothing_to_draw():
    keep, num_fg = sample([0.0, 0.05], 8)
    assert keep.shape == (0,) and keep.dtype == torch.int64 and num_fg == 0


def test_draws_are_those_of_numpy_on_the_candidates():
    mask = torch.tensor([False, True, True, False, True, True])
    expected = np.random.RandomState(5).choice([1, 2, 4, 5], size=3, replace=False)
    assert draw(mask, 4, 3, np.random.RandomState(5)).tolist() == expected.tolist()


def test_nearest_box_is_the_first_of_equals():
    rois = torch.tensor([[0.0, 0, 9, 9], [50, 50, 59, 59]])
    boxes = torch.tensor([[90.0, 90, 99, 99], [0, 0, 9, 4], [0, 5, 9, 9]])
    overlaps, nearest = nearest_boxes(rois, boxes)
    assert overlaps.tolist() == [0.5, 0] and nearest.tolist() == [1, 0]
    overlaps, nearest = nearest_boxes(rois, torch.zeros(0, 4))
    assert overlaps.tolist() == [0, 0] and nearest.tolist() == [0, 0]


def test_labels_and_targets():
    rois = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 9]])
    boxes = torch.tensor([[5.0, 0, 14, 9, 3]])
    labels, targets = roi_targets(rois, boxes, torch.tensor([0, 0]), 1)
    assert labels.tolist() == [3, 0] and targets[0].tolist() == [0.5, 0, 0, 0]
    labels, targets = roi_targets(rois, torch.zeros(0, 5), torch.tensor([0, 0]), 0)
    assert labels.tolist() == [0, 0] and not targets.any()


def test_targets_stand_in_the_columns_of_the_class():
    targets = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8], [9, 9, 9, 9]])
    expanded, weights = expand_targets(torch.tensor([2.0, 1, 0]), targets, 3, (1, 0.5, 1, 0))
    assert expanded.tolist() == [[0] * 8 + [1, 2, 3, 4], [0] * 4 + [5, 6, 7, 8] + [0] * 4, [0] * 12]
    assert weights[0].tolist() == [0] * 8 + [1, 0.5, 1, 0]
    assert weights[1].tolist() == [0] * 4 + [1, 0.5, 1, 0] + [0] * 4
    assert weights[2].tolist() == [0] * 12
    empty, _ = expand_targets(torch.zeros(0), torch.zeros(0, 4), 3, (1, 1, 1, 1))
    assert empty.shape == (0, 12)
