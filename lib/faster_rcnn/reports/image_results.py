"""Detections against annotations, image by image: what was found, missed, and a false alarm.

Boxes are (x1, y1, x2, y2) in inclusive pixels; a detection is right as in the evaluation of VOC
(IoU > 0.5).
"""
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from faster_rcnn.evaluation.judged_images import MATCH_OVERLAP, SHOW_SCORE
from faster_rcnn.evaluation.voc_eval import Detections, Truth, best_objects, match_detections


@dataclass
class ImageResult:
    """Detections of one image against its annotations.

    dets: {class name: (N, 5)} with score >= SHOW_SCORE, best first; hits, false: {class name: (N,)
    bool}, the right and the wrong ones, neither when the object is ignored; missed: [(class name,
    box (4,)), ...].
    """

    index: int
    dets: dict[str, np.ndarray] = field(default_factory=dict)
    hits: dict[str, np.ndarray] = field(default_factory=dict)
    false: dict[str, np.ndarray] = field(default_factory=dict)
    missed: list[tuple[str, np.ndarray]] = field(default_factory=list)

    @property
    def num_false(self) -> int:
        """Number of false alarms."""
        return sum(int(false.sum()) for false in self.false.values())

    @property
    def badness(self) -> float:
        """How wrong the image is: objects missed, plus the scores of false alarms."""
        scores = sum(dets[self.false[name], 4].sum() for name, dets in self.dets.items())
        return len(self.missed) + float(scores)

    def add(self, name: str, dets: np.ndarray, truth: Truth) -> None:
        """Matches the detections (N, 5) of a class with its objects."""
        dets = dets[dets[:, 4] >= SHOW_SCORE]
        dets = dets[np.argsort(-dets[:, 4], kind="stable")]
        found = Detections([self.index] * len(dets), dets[:, 4], dets[:, :4])
        right, wrong = match_detections(found, {self.index: truth}, MATCH_OVERLAP)
        taken = best_objects(found, {self.index: truth})[0][right]
        missed = ~truth.difficult
        missed[taken] = False
        self.dets[name], self.hits[name], self.false[name] = dets, right, wrong
        self.missed += [(name, box) for box in truth.boxes[missed]]


def image_results(imdb: Any, all_boxes: Sequence[Sequence[np.ndarray]],
                  annotated: Sequence[Any]) -> list[ImageResult]:
    """An ImageResult per image that can be judged.

    all_boxes[class][image]: (N, 5); annotated: an `AnnotatedBoxes` per image, or None where the
    annotation cannot be used.
    """
    results = []
    for index, annotation in enumerate(annotated):
        if annotation is None:
            continue
        result = ImageResult(index)
        for number, name in enumerate(imdb.classes[1:], 1):
            dets = np.asarray(all_boxes[number][index], np.float64).reshape(-1, 5)
            chosen = annotation.classes == number
            result.add(name, dets, Truth(annotation.boxes[chosen], annotation.ignored[chosen]))
        results.append(result)
    return results


def class_counts(results: Sequence[ImageResult],
                 classes: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """{class: (objects, found, false alarms)} at SHOW_SCORE."""
    counts = {}
    for name in classes:
        found = sum(int(result.hits[name].sum()) for result in results)
        false = sum(int(result.false[name].sum()) for result in results)
        missed = sum(name == missing for result in results for missing, _ in result.missed)
        counts[name] = (found + missed, found, false)
    return counts
