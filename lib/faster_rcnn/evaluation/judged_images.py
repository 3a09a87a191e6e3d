"""What became of every detection and every object: right, or wrong in which way; found, or missed.

The kinds of errors and their two overlaps are those of TIDE (Bolya et al. 2020, section 2.2), which
refines Hoiem et al. 2012. Boxes are (x1, y1, x2, y2) in inclusive pixels.
"""
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from faster_rcnn.boxes.cython_bbox import bbox_overlaps

MATCH_OVERLAP = 0.5         # a detection with more overlap may be right, as in VOC
SHOW_SCORE = 0.5            # detections with this score are drawn and counted in reports
BACKGROUND_OVERLAP = 0.1    # a detection with less overlap lies on background, as in TIDE


class Kind(enum.IntEnum):
    """What a detection is. `same`, `other`: its largest overlap with an object of its class, and
    with one of another class; objects that are ignored make a detection IGNORED only.

    RIGHT         same > 0.5, and no better detection has taken that object
    IGNORED       the object that it overlaps most, by more than 0.5, is ignored
    DUPLICATE     same > 0.5, but the object is taken
    WRONG_CLASS   other > 0.5
    LOCALISATION  0.1 <= same <= 0.5: the right class in the wrong place
    BOTH          0.1 <= other <= 0.5: neither class nor place is right
    BACKGROUND    all overlaps < 0.1

    The first line that applies counts.
    """

    RIGHT = 0
    IGNORED = 1
    DUPLICATE = 2
    WRONG_CLASS = 3
    LOCALISATION = 4
    BOTH = 5
    BACKGROUND = 6

    @property
    def is_false(self) -> bool:
        """Whether it is a false alarm."""
        return self not in (Kind.RIGHT, Kind.IGNORED)


@dataclass(frozen=True)
class JudgedImage:
    """The detections and objects of an image, and what became of them.

    index: of the image in its data set. dets (D, 5) x1, y1, x2, y2, score in descending order of
    score; det_classes (D,) int; kinds (D,) int, see Kind; objects (D,) int, the object that the
    kind is about, -1 for BACKGROUND.
    boxes (R, 4), classes (R,) int, ignored (R,) bool: the annotated objects. found (R,): the score
    of the detection that found an object, -inf when none did.
    """

    index: int
    dets: np.ndarray
    det_classes: np.ndarray
    kinds: np.ndarray
    objects: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    ignored: np.ndarray
    found: np.ndarray

    def missed(self, thresh: float) -> np.ndarray:
        """(R,) bool: objects that no detection with at least this score found."""
        return ~self.ignored & (self.found < thresh)

    def false(self, thresh: float) -> np.ndarray:
        """(D,) bool: false alarms with at least this score."""
        return (self.kinds > Kind.IGNORED) & (self.dets[:, 4] >= thresh)

    def badness(self, thresh: float) -> float:
        """How wrong the image is: objects missed, plus the scores of false alarms."""
        return float(self.missed(thresh).sum() + self.dets[self.false(thresh), 4].sum())


def judged_images(all_boxes: Sequence[Sequence[np.ndarray]],
                  annotated: Sequence[Any]) -> list[JudgedImage]:
    """A JudgedImage per image that can be judged.

    all_boxes[class][image]: (N, 5), or an empty list; annotated: per image an object with boxes
    (R, 4), classes (R,) and ignored (R,), or None where the annotation cannot be used.
    """
    judged = []
    for index, annotation in enumerate(annotated):
        if annotation is not None:
            rows = [np.asarray(of_class[index], np.float64).reshape(-1, 5)
                    for of_class in all_boxes[1:]]
            classes = np.repeat(np.arange(1, len(all_boxes)), [len(row) for row in rows])
            dets = np.concatenate(rows) if rows else np.zeros((0, 5))
            order = np.argsort(-dets[:, 4], kind="stable")
            judged.append(_judged(index, dets[order], classes[order], annotation))
    return judged


def _judged(index: int, dets: np.ndarray, det_classes: np.ndarray, annotation: Any) -> JudgedImage:
    boxes = np.asarray(annotation.boxes, np.float64).reshape(-1, 4)
    classes, ignored = np.asarray(annotation.classes), np.asarray(annotation.ignored, bool)
    kinds = np.full(len(dets), int(Kind.BACKGROUND))
    objects = np.full(len(dets), -1)
    found = np.full(len(boxes), -np.inf)
    if len(dets) and len(boxes):
        overlaps = bbox_overlaps(np.ascontiguousarray(dets[:, :4]), np.ascontiguousarray(boxes))
        same_class = det_classes[:, None] == classes[None, :]
        for i, score in enumerate(dets[:, 4]):
            same = np.where(same_class[i], overlaps[i], -1.0)
            other = np.where(same_class[i] | ignored, -1.0, overlaps[i])
            kinds[i], objects[i] = _kind(same, other, ignored, found)
            if kinds[i] == Kind.RIGHT:
                found[objects[i]] = score
    return JudgedImage(index, dets, det_classes, kinds, objects, boxes, classes, ignored, found)


def _kind(same: np.ndarray, other: np.ndarray, ignored: np.ndarray,
          found: np.ndarray) -> tuple[Kind, int]:
    """The Kind of a detection and its object; same, other (R,): overlaps, -1 for no candidate."""
    best = int(same.argmax())
    if same[best] > MATCH_OVERLAP:
        if ignored[best]:
            return Kind.IGNORED, best
        return (Kind.RIGHT if found[best] == -np.inf else Kind.DUPLICATE), best
    same = np.where(ignored, -1.0, same)
    best, best_other = int(same.argmax()), int(other.argmax())
    if other[best_other] > MATCH_OVERLAP:
        return Kind.WRONG_CLASS, best_other
    if same[best] >= BACKGROUND_OVERLAP:
        return Kind.LOCALISATION, best
    if other[best_other] >= BACKGROUND_OVERLAP:
        return Kind.BOTH, best_other
    return Kind.BACKGROUND, -1
