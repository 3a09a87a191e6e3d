"""SVMs of one class: the right optimum, and which negatives are kept."""
import logging

import numpy as np
import pytest
import scipy.optimize

from faster_rcnn.training import svm
from faster_rcnn.training.svm import ClassSVM


def examples(rng, positives, negatives):
    """Features (N, 3) of two overlapping clouds."""
    return rng.normal(1, 1, (positives, 3)), rng.normal(-1, 1, (negatives, 3))


def objective(parameters, positives, negatives):
    """What the SVM minimises; the bias is regularised as b / 10."""
    w, b = parameters[:-1], parameters[-1]
    hinge = (2 * np.maximum(0, 1 - positives @ w - b).sum()
             + np.maximum(0, 1 + negatives @ w + b).sum())
    return (w @ w + (b / 10) ** 2) / 2 + 0.001 * hinge


def test_optimum_of_the_published_objective(caplog):
    positives, negatives = examples(np.random.default_rng(0), 60, 300)
    # trained on scaled features, used on plain ones
    trainer = ClassSVM("cat", 4.0)
    trainer.add_positives(positives[:20])
    trainer.add_positives(positives[20:])
    assert trainer.add_negatives(negatives) is None
    with caplog.at_level(logging.INFO):
        w, b = trainer.train()
    found = objective(np.append(w / 4, b), 4 * positives, 4 * negatives)
    best = scipy.optimize.minimize(objective, np.zeros(4), (4 * positives, 4 * negatives),
                                   method="Powell", options={"xtol": 1e-8, "ftol": 1e-12})
    assert found == pytest.approx(best.fun, rel=1e-3)
    assert "cat: trained on 60 positives and 300 negatives" in caplog.text


def test_easy_negatives_are_forgotten():
    positives, negatives = examples(np.random.default_rng(1), 50, 400)
    trainer = ClassSVM("cat", 1.0)
    trainer.add_positives(positives)
    trainer.add_negatives(negatives)
    w, b = trainer.train()
    scores = negatives @ w + b
    assert 0 < (scores >= -1.1).sum() < 400
    assert np.array_equal(trainer.negatives[0], negatives[scores >= -1.1])


def test_all_easy_negatives_stay():
    trainer = ClassSVM("cat", 1.0)
    trainer.add_positives(np.full((40, 2), 100.0))
    trainer.add_negatives(np.full((40, 2), -100.0))
    w, b = trainer.train()
    assert (np.full(2, -100.0) @ w + b) < -0.9 and len(trainer.negatives[0]) == 40


def test_trains_after_2000_new_negatives():
    positives, negatives = examples(np.random.default_rng(2), 20, 4100)
    trainer = ClassSVM("cat", 1.0)
    trainer.add_positives(positives)
    assert trainer.add_negatives(negatives[:2000]) is None
    assert trainer.add_negatives(negatives[2000:2001]) is not None
    assert trainer.add_negatives(negatives[2001:4001]) is None
    assert trainer.add_negatives(negatives[4001:4002]) is not None


def test_nothing_to_tell_apart_is_said(caplog):
    assert ClassSVM("dog", 1.0).train() is None
    assert "class dog has no annotated boxes" in caplog.text
    trainer = ClassSVM("cat", 1.0)
    trainer.add_positives(np.ones((1, 2)))
    assert trainer.train() is None and "class cat has no negatives" in caplog.text


def test_published_constants():
    assert (svm.C, svm.INTERCEPT_SCALING, svm.POSITIVE_WEIGHT) == (0.001, 10, 2)
    assert (svm.HARD_SCORE, svm.EVICT_SCORE, svm.RETRAIN_LIMIT) == (-1.0001, -1.1, 2000)
    assert (svm.NEGATIVE_IOU, svm.FEATURE_NORM, svm.SCALE_IMAGES) == (0.3, 20, 100)
