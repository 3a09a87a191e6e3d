"""The confusion matrix of a detector, with the background as a class."""
from collections.abc import Sequence

import numpy as np

from faster_rcnn.boxes.cython_bbox import bbox_overlaps
from faster_rcnn.evaluation.judged_images import MATCH_OVERLAP, JudgedImage


def confusion_matrix(images: Sequence[JudgedImage], num_classes: int, thresh: float) -> np.ndarray:
    """(num_classes, num_classes) int: rows are annotated, columns are detected classes.

    Detections with at least the score `thresh` and objects that overlap by more than 0.5 are
    paired, each once: pairs of one class first, then the larger overlap. Objects without a pair
    are in column 0 (the background), detections without one in row 0, unless they overlap an
    ignored object by more than 0.5. num_classes counts the background.
    """
    matrix = np.zeros((num_classes, num_classes), int)
    for image in images:
        shown = image.dets[:, 4] >= thresh
        dets, found = np.ascontiguousarray(image.dets[shown, :4]), image.det_classes[shown]
        overlaps = np.zeros((len(dets), len(image.boxes)))
        if overlaps.size:
            overlaps = bbox_overlaps(dets, np.ascontiguousarray(image.boxes))
        pairs = _pairs(overlaps[:, ~image.ignored], found, image.classes[~image.ignored])
        lone = np.ones(len(dets), bool)
        objects = image.classes[~image.ignored]
        missed = np.ones(len(objects), bool)
        for det, obj in pairs:
            lone[det], missed[obj] = False, False
            matrix[objects[obj], found[det]] += 1
        lone &= overlaps[:, image.ignored].max(axis=1, initial=0) <= MATCH_OVERLAP
        matrix[0] += np.bincount(found[lone], minlength=num_classes)
        matrix[:, 0] += np.bincount(objects[missed], minlength=num_classes)
    return matrix


def _pairs(overlaps: np.ndarray, found: np.ndarray, objects: np.ndarray) -> list[tuple[int, int]]:
    """(detection, object) of every pair; overlaps (D, R), found (D,) and objects (R,): classes."""
    dets, rows = np.where(overlaps > MATCH_OVERLAP)
    order = np.lexsort((-overlaps[dets, rows], found[dets] != objects[rows]))
    pairs: list[tuple[int, int]] = []
    taken_dets: set[int] = set()
    taken_rows: set[int] = set()
    for det, row in zip(dets[order].tolist(), rows[order].tolist()):
        if det not in taken_dets and row not in taken_rows:
            taken_dets.add(det)
            taken_rows.add(row)
            pairs.append((det, row))
    return pairs
