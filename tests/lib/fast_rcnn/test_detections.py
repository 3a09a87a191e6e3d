"""fast_rcnn.detections: threshold, suppression per class, refinements, the limit per image."""
import numpy as np
import pytest

from faster_rcnn.detection.options import Refinement
from faster_rcnn.detection.refinement import select_detections
from faster_rcnn.settings.config import cfg, cfg_override

SCORES = np.array([[0.1, 0.8, 0.1],
                   [0.1, 0.7, 0.2],
                   [0.0, 0.1, 0.9]], np.float32)
BOX = [[0, 0, 9, 9], [1, 0, 10, 9], [50, 50, 59, 59]]
BOXES = np.tile(np.array(BOX, np.float32), (1, 3))          # the same for every class
OPTIONS = dict(thresh=0.1, nms_thresh=0.5, max_per_image=100)


def select(**options):
    return [dets.tolist() for dets in select_detections(SCORES, BOXES, **{**OPTIONS, **options})]


def rows(*pairs):
    return [[*map(float, BOX[roi]), float(np.float32(score))] for roi, score in pairs]


def test_threshold_is_strict_and_classes_do_not_suppress_each_other():
    assert select() == [[], rows((0, 0.8)), rows((2, 0.9), (1, 0.2))]


def test_no_suppression_above_the_overlap():
    assert select(nms_thresh=0.9) == [[], rows((0, 0.8), (1, 0.7)), rows((2, 0.9), (1, 0.2))]


def test_limit_per_image_counts_all_classes():
    assert select(max_per_image=2) == [[], rows((0, 0.8)), rows((2, 0.9))]
    assert select(max_per_image=1) == [[], [], rows((2, 0.9))]
    assert select(max_per_image=0) == select()


def test_those_that_equal_the_last_one_stay():
    scores = np.array([[0, 0.5, 0.5]], np.float32)
    dets = select_detections(scores, np.zeros((1, 12), np.float32), 0.1, 0.5, 1)
    assert [len(d) for d in dets] == [0, 1, 1]


def test_nothing_found():
    dets = select_detections(SCORES, BOXES, 0.95, 0.5, 100)
    assert [d.shape for d in dets] == [(0, 5)] * 3 and dets[1].dtype == np.float32
    none = select_detections(SCORES[:0], BOXES[:0], 0.1, 0.5, 9)
    assert [d.shape for d in none] == [(0, 5)] * 3


# Class 1 has 0.8 and 0.7, which overlap by 90 / 110; class 2 has 0.9 and 0.2, which do not.

def test_soft_nms_lowers_scores_in_their_class():
    left = 0.7 * (1 - 90 / 110)
    dets = select(refinement=Refinement(soft_nms="linear"))
    np.testing.assert_allclose(dets[1], [[0, 0, 9, 9, 0.8], [1, 0, 10, 9, left]], rtol=1e-5)
    assert dets[2] == select()[2]
    # a threshold above the overlap, and a score that is too low
    linear = Refinement(soft_nms="linear")
    assert select(nms_thresh=0.9, refinement=linear) == select(nms_thresh=0.9)
    assert select(refinement=linear._replace(soft_nms_thresh=0.13)) == select()
    dets = select(refinement=Refinement(soft_nms="gaussian", soft_nms_sigma=2.0))
    left = 0.7 * np.exp(-(90 / 110) ** 2 / 2)
    np.testing.assert_allclose(dets[1], [[0, 0, 9, 9, 0.8], [1, 0, 10, 9, left]], rtol=1e-5)


def test_the_limit_counts_lowered_scores():
    # 0.9, 0.8, 0.2 (class 2), 0.127 (lowered)
    dets = select(max_per_image=3, refinement=Refinement(soft_nms="linear"))
    assert dets == [[], rows((0, 0.8)), rows((2, 0.9), (1, 0.2))]


def test_box_voting_moves_boxes_in_their_class():
    x = 0.7 / 1.5       # between 0 (weight 0.8) and 1 (weight 0.7)
    dets = select(refinement=Refinement(bbox_vote=True))
    np.testing.assert_allclose(dets[1], [[x, 0, 9 + x, 9, 0.8]], rtol=1e-6)
    assert dets[2] == select()[2]


def test_box_voting_may_change_scores_and_their_order():
    # two votes are wanted: 0.75 for two that agree; 0.9 + 0.45 by 2 for one alone
    dets = select(refinement=Refinement(bbox_vote=True, bbox_vote_n_weighted_score=2))
    assert [d[4] for d in dets[1]] == pytest.approx([0.75])
    assert [d[4] for d in dets[2]] == pytest.approx([0.675, 0.15])
    dets = select(max_per_image=1, refinement=Refinement(
        bbox_vote=True, bbox_vote_n_weighted_score=2))
    assert [len(d) for d in dets] == [0, 1, 0]


@pytest.mark.parametrize("refinement", [
    Refinement(soft_nms="linear"), Refinement(soft_nms="gaussian"), Refinement(bbox_vote=True),
    Refinement("linear", bbox_vote=True, bbox_vote_n_weighted_score=3)])
def test_refining_nothing(refinement):
    dets = select_detections(SCORES, BOXES, 0.95, 0.5, 100, refinement)
    assert [d.shape for d in dets] == [(0, 5)] * 3 and dets[1].dtype == np.float32


def test_refinement_follows_the_settings():
    assert Refinement.of(cfg.TEST) == Refinement()
    with cfg_override(TEST={"SOFT_NMS": "gaussian", "SOFT_NMS_SIGMA": 0.4, "SOFT_NMS_THRESH": 0.01,
                            "BBOX_VOTE": True, "BBOX_VOTE_N_WEIGHTED_SCORE": 5,
                            "BBOX_VOTE_WEIGHT_EMPTY": 0.3}):
        assert Refinement.of(cfg.TEST) == Refinement("gaussian", 0.4, 0.01, True, 5, 0.3)


def test_wrong_settings_are_named():
    with cfg_override(TEST={"SOFT_NMS": "hard"}), pytest.raises(
            ValueError, match="TEST.SOFT_NMS must be '' .off., 'linear' or 'gaussian', not 'hard'"):
        Refinement.of(cfg.TEST)
    with cfg_override(TEST={"SOFT_NMS_SIGMA": 0.0}), pytest.raises(
            ValueError, match="TEST.SOFT_NMS_SIGMA must be > 0, not 0"):
        Refinement.of(cfg.TEST)
