"""Which score to ask of a detection: recall and precision at a score, and the best one."""
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faster_rcnn.evaluation.judged_images import JudgedImage, Kind


@dataclass(frozen=True)
class AtScore:
    """Numbers at a score: detections with at least `score` that are right, that are false, and
    objects in all.
    """

    score: float
    right: int
    false: int
    objects: int

    @property
    def recall(self) -> float:
        """Share of the objects that are found; nan without objects."""
        return self.right / self.objects if self.objects else float("nan")

    @property
    def precision(self) -> float:
        """Share of the detections that are right; nan without detections."""
        shown = self.right + self.false
        return self.right / shown if shown else float("nan")

    @property
    def f1(self) -> float:
        """2 right / (detections + objects), the harmonic mean of both; 0 without any."""
        total = self.right + self.false + self.objects
        return 2 * self.right / total if total else 0.0


def scored(images: Sequence[JudgedImage],
           class_index: int | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores (D,) in descending order, right (D,) bool, and number of objects, of a class.

    Ignored ones are left out. class_index None: of all classes.
    """
    scores, right, objects = [np.zeros(0)], [np.zeros(0, bool)], 0
    for image in images:
        chosen = image.kinds != Kind.IGNORED
        counted = ~image.ignored
        if class_index is not None:
            chosen &= image.det_classes == class_index
            counted &= image.classes == class_index
        scores.append(image.dets[chosen, 4])
        right.append(image.kinds[chosen] == Kind.RIGHT)
        objects += int(counted.sum())
    all_scores = np.concatenate(scores)
    order = np.argsort(-all_scores, kind="stable")
    return all_scores[order], np.concatenate(right)[order], objects


def at_scores(scores: np.ndarray, right: np.ndarray, objects: int,
              thresholds: Sequence[float] | np.ndarray) -> list[AtScore]:
    """The numbers at each threshold; scores (D,) in descending order, right (D,) bool."""
    shown = np.searchsorted(-scores, -np.asarray(thresholds, np.float64), side="right")
    hits = np.concatenate(([0], np.cumsum(right)))[shown]
    return [AtScore(float(score), int(hit), int(number - hit), objects)
            for score, hit, number in zip(thresholds, hits, shown)]


def best_score(scores: np.ndarray, right: np.ndarray, objects: int) -> AtScore | None:
    """The score with the largest F1, the higher one of equals; None when nothing is right.

    scores (D,) in descending order, right (D,) bool.
    """
    if not right.any():
        return None
    thresholds = np.unique(scores)[::-1]
    return max(at_scores(scores, right, objects, thresholds), key=lambda numbers: numbers.f1)
