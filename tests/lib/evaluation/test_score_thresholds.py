"""Recall, precision and F1 at scores, by hand."""
import math

import numpy as np
import pytest
from judged import judged

from faster_rcnn.evaluation.score_thresholds import AtScore, at_scores, best_score, scored

SCORES = np.array([0.9, 0.8, 0.8, 0.4])
RIGHT = np.array([True, True, False, True])


def test_numbers_at_scores_count_equal_scores():
    numbers = at_scores(SCORES, RIGHT, 5, [0.95, 0.9, 0.8, 0.5, 0.0])
    assert [(at.right, at.false) for at in numbers] == [(0, 0), (1, 0), (2, 1), (2, 1), (3, 1)]
    assert numbers[2].precision == pytest.approx(2 / 3) and numbers[2].recall == pytest.approx(0.4)
    assert numbers[2].f1 == pytest.approx(2 * (2 / 3) * 0.4 / (2 / 3 + 0.4))
    assert math.isnan(numbers[0].precision) and numbers[0].f1 == 0


def test_the_best_score_has_the_largest_f1_and_is_the_highest_of_equals():
    assert best_score(SCORES, RIGHT, 3) == AtScore(0.4, 3, 1, 3)
    # one right of two objects, F1 2/3; then a false and a right one, F1 4/5
    best = best_score(np.array([0.9, 0.5, 0.3]), np.array([True, False, True]), 2)
    assert best == AtScore(0.3, 2, 1, 2)
    tie = best_score(np.array([0.9, 0.5, 0.4, 0.3]), np.array([True, False, False, True]), 1)
    assert tie is not None and tie.score == 0.9
    assert best_score(np.array([0.9]), np.array([False]), 2) is None
    assert best_score(np.zeros(0), np.zeros(0, bool), 0) is None


def test_scores_of_a_class_and_of_all_without_the_ignored():
    images = [judged([(1, (0, 0, 9, 9), 0.3), (2, (0, 0, 9, 9), 0.9)],
                     [(1, (0, 0, 9, 9)), (1, (50, 50, 60, 60))]),
              judged([(1, (0, 0, 9, 9), 0.7)], [(1, (0, 0, 9, 9))], ignored=[0])]
    scores, right, objects = scored(images, 1)
    assert scores == pytest.approx([0.3]) and right.tolist() == [True] and objects == 2
    scores, right, objects = scored(images, None)
    assert scores == pytest.approx([0.9, 0.3]) and right.tolist() == [False, True]
    assert objects == 2
    assert scored([], None)[2] == 0
