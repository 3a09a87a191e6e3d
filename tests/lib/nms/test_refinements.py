"""Soft NMS and box voting: by hand, and against slow twins (tests/reference/slow_ops.py)."""
import numpy as np
import pytest
import slow_ops

from faster_rcnn.boxes.nms import py_cpu_nms, soft_nms
from faster_rcnn.boxes.voting import bbox_vote

# the second overlaps the first by 90 of 110 pixels, the third by 50 of 150, or 60 of 140
DETS = np.array([[0, 0, 9, 9, 0.8], [1, 0, 10, 9, 0.6], [5, 0, 14, 9, 0.4]], np.float32)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def random_dets(rng, count):
    corners = rng.uniform(0, 60, (count, 2))
    return np.hstack([corners, corners + rng.uniform(10, 40, (count, 2)),
                      rng.uniform(0.05, 1, (count, 1))]).astype(np.float32)


def test_soft_nms_by_hand():
    dets, keep = soft_nms(DETS, 0.5)
    assert keep == [0, 2, 1]
    np.testing.assert_allclose(dets, [DETS[0], DETS[2], [1, 0, 10, 9, 0.6 * 20 / 110]], rtol=1e-5)
    assert dets.dtype == np.float32
    dets, keep = soft_nms(DETS, 0.5, score_thresh=0.2)
    assert keep == [0, 2] and len(dets) == 2


def test_soft_nms_leaves_its_input_alone_and_takes_nothing():
    before = DETS.copy()
    soft_nms(DETS, 0.1, "gaussian")
    np.testing.assert_array_equal(DETS, before)
    dets, keep = soft_nms(np.zeros((0, 5), np.float32), 0.5)
    assert dets.shape == (0, 5) and keep == []
    with pytest.raises(ValueError, match='"linear" or "gaussian", not "softer"'):
        soft_nms(DETS, 0.5, "softer")


def test_soft_nms_ends_where_hard_nms_does_if_all_overlap_or_none(rng):
    dets = random_dets(rng, 30)
    dets[:, :4] = dets[0, :4]           # overlap 1: every score but the best one becomes 0
    assert soft_nms(dets, 0.5)[1] == py_cpu_nms(dets, 0.5)
    dets[:, :4] += 100 * np.arange(30)[:, None]
    softened, keep = soft_nms(dets, 0.5)
    assert keep == py_cpu_nms(dets, 0.5)
    np.testing.assert_array_equal(softened, dets[keep])


def test_voting_by_hand():
    # thresh 0.5: the first two vote for each other, with 0.8 and 0.6; the third votes for itself
    x = 0.6 / 1.4
    voted = bbox_vote(DETS[[0, 2]], DETS)
    np.testing.assert_allclose(voted, [[x, 0, 9 + x, 9, 0.8], DETS[2]], rtol=1e-6)
    assert voted.dtype == np.float32
    # 40 / 100, just met by 60 / 140 only
    x = (0.6 * 1 + 0.4 * 5) / 1.0
    voted = bbox_vote(DETS[2:], DETS, thresh=0.4)
    np.testing.assert_allclose(voted, [[x, 0, 9 + x, 9, 0.4]], rtol=1e-6)


def test_votes_may_lower_a_score():
    kept = DETS[[0, 2]]
    # two of two are there: their mean; one of two: its score and half of it
    assert bbox_vote(kept, DETS, n_weighted_score=2)[:, 4] == pytest.approx([0.7, 0.3])
    assert bbox_vote(kept, DETS, n_weighted_score=2, weight_empty=1)[:, 4] == \
        pytest.approx([0.7, 0.4])
    # three are wanted: (0.8 + 0.6 + 0) / 3
    assert bbox_vote(kept, DETS, n_weighted_score=3, weight_empty=0)[0, 4] == \
        pytest.approx(1.4 / 3)
    # a score never rises: soft NMS had lowered it to 0.1
    lowered = np.array([[1, 0, 10, 9, 0.1]], np.float32)
    assert bbox_vote(lowered, DETS, n_weighted_score=2)[0, 4] == pytest.approx(0.1)


@pytest.mark.parametrize("wanted", [1, 2, 5, 500])
def test_voting_like_the_slow_one(wanted, rng):
    dets = random_dets(rng, 120)
    kept = dets[py_cpu_nms(dets, 0.4)]
    voted = bbox_vote(kept, dets, 0.45, wanted, 0.3)
    assert 5 < len(kept) < 120
    np.testing.assert_allclose(voted, slow_ops.bbox_vote(kept, dets, 0.45, wanted, 0.3), rtol=1e-5)


def test_voting_on_nothing_and_by_nobody():
    none = np.zeros((0, 5), np.float32)
    for wanted in (1, 3):
        assert bbox_vote(none, none, n_weighted_score=wanted).shape == (0, 5)
        # a box of no pixels has no overlap with anything: it stays
        flat = np.array([[5, 5, 4, 4, 0.5]], np.float32)
        np.testing.assert_array_equal(bbox_vote(flat, flat, n_weighted_score=wanted), flat)
