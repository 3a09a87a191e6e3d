"""rpn.targets: which anchors are trained, and for what, by hand on an image of 20 x 20 pixels."""
import numpy as np
import pytest
import torch

from faster_rcnn.anchors.options import AnchorTargetOptions
from faster_rcnn.anchors.targets import NoAnchorInside, anchor_targets

OPTIONS = AnchorTargetOptions(allowed_border=0, positive_overlap=0.7, negative_overlap=0.3,
                              clobber_positives=False, batch_size=256, fg_fraction=0.5,
                              inside_weights=(1.0, 2.0, 3.0, 4.0), positive_weight=-1.0)
ANCHORS = torch.tensor([
    [0, 0, 9, 9],       # the box itself
    [0, 0, 9, 4],       # half of it: neither
    [10, 10, 19, 19],   # nothing of it
    [-1, 0, 8, 9],      # .82 of it, but outside the image
    [1, 0, 10, 9]], dtype=torch.float64)    # 90 of 110 pixels: positive
BOX = torch.tensor([[0.0, 0, 9, 9]])


def labels_of(targets):
    return targets.labels[:, 0].tolist()


def test_labels_by_hand():
    assert labels_of(anchor_targets(ANCHORS, BOX, (20, 20), OPTIONS)) == [1, -1, 0, -1, 1]


def test_border_lets_anchors_reach_out():
    targets = anchor_targets(ANCHORS, BOX, (20, 20), OPTIONS._replace(allowed_border=1))
    assert labels_of(targets) == [1, -1, 0, 1, 1]


def test_best_anchor_is_positive_however_small_its_overlap():
    box = torch.tensor([[15.0, 15, 19, 19]])        # a quarter of anchor 2, nothing of the others
    assert labels_of(anchor_targets(ANCHORS, box, (20, 20), OPTIONS)) == [0, 0, 1, -1, 0]
    clobbering = OPTIONS._replace(clobber_positives=True)
    assert labels_of(anchor_targets(ANCHORS, box, (20, 20), clobbering)) == [0, 0, 0, -1, 0]


def test_box_without_any_overlap_makes_all_that_tie_positive():
    box = torch.tensor([[30.0, 30, 39, 39]])
    assert labels_of(anchor_targets(ANCHORS, box, (20, 20), OPTIONS)) == [1, 1, 1, -1, 1]


def test_targets_are_given_inside_and_weights_where_trained():
    targets = anchor_targets(ANCHORS, BOX, (20, 20), OPTIONS)
    assert targets.bbox_targets[0].tolist() == [0, 0, 0, 0]
    assert targets.bbox_targets[1].tolist() == pytest.approx([0, 0.5, 0, np.log(2)])
    assert targets.bbox_targets[3].tolist() == [0, 0, 0, 0]      # outside
    assert targets.bbox_targets[4].tolist() == pytest.approx([-0.1, 0, 0, 0])
    assert targets.bbox_inside_weights.tolist() == [[1, 2, 3, 4], *[[0] * 4] * 3, [1, 2, 3, 4]]
    third = pytest.approx([1 / 3] * 4)              # three examples, labels 1, 0, 1
    assert [row == third for row in targets.bbox_outside_weights.tolist()] == [1, 0, 1, 0, 1]


def test_positive_weight_is_shared_by_the_positives():
    targets = anchor_targets(ANCHORS, BOX, (20, 20), OPTIONS._replace(positive_weight=0.8))
    assert targets.bbox_outside_weights[:, 0].tolist() == pytest.approx([0.4, 0, 0.2, 0, 0.4])


@pytest.mark.parametrize("batch_size, fraction, num_fg, num_bg", [
    (256, 0.5, 64, 64), (100, 0.5, 50, 50), (100, 0.9, 64, 36), (7, 0.5, 3, 4), (64, 1.0, 64, 0)])
def test_sample_has_the_wanted_counts(batch_size, fraction, num_fg, num_bg):
    # 64 anchors on one box, 64 far from it
    anchors = torch.tensor([[0.0, 0, 9, 9]] * 64 + [[30.0, 30, 39, 39]] * 64).double()
    options = OPTIONS._replace(batch_size=batch_size, fg_fraction=fraction)
    labels = anchor_targets(anchors, BOX, (40, 40), options, np.random.RandomState(1)).labels
    assert ((labels == 1).sum(), (labels == 0).sum()) == (num_fg, num_bg)
    again = anchor_targets(anchors, BOX, (40, 40), options, np.random.RandomState(1)).labels
    assert torch.equal(labels, again)
    if batch_size == 100:
        other = anchor_targets(anchors, BOX, (40, 40), options, np.random.RandomState(2)).labels
        assert not torch.equal(labels, other)


def test_image_without_objects_is_background():
    targets = anchor_targets(ANCHORS, torch.zeros(0, 4), (20, 20), OPTIONS)
    assert labels_of(targets) == [0, 0, 0, -1, 0]
    assert not targets.bbox_targets.any() and not targets.bbox_inside_weights.any()


def test_no_anchor_inside_is_told():
    with pytest.raises(NoAnchorInside):
        anchor_targets(ANCHORS, BOX, (4, 4), OPTIONS)
