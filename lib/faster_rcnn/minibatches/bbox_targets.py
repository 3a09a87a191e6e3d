"""Regression targets of the boxes of a roidb, and their statistics.

R boxes in an image; a row of targets is class, dx, dy, dw, dh, class 0 for boxes that are not
regressed.
"""
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from faster_rcnn.boxes.cython_bbox import bbox_overlaps
from faster_rcnn.boxes.transform import bbox_transform

# A variance below this is what rounding leaves of zero
NO_SPREAD = 1e-12


@dataclass(frozen=True)
class Statistics:
    """Means and standard deviations of the targets, (K, 4) each; counts (K,) of boxes per class."""

    means: np.ndarray
    stds: np.ndarray
    counts: np.ndarray


def compute_targets(boxes: np.ndarray, max_overlaps: np.ndarray, labels: np.ndarray,
                    thresh: float) -> np.ndarray:
    """Targets (R, 5) float32 of boxes (R, 4) towards the annotation each overlaps most.

    max_overlaps (R,), exactly 1 for annotations; labels (R,) class of the best annotation; boxes
    with an overlap >= thresh are regressed.
    """
    targets = np.zeros((len(boxes), 5), np.float32)
    annotated = np.where(max_overlaps == 1)[0]
    if not annotated.size:
        return targets
    boxes = boxes.astype(np.float32)
    regressed = np.where(max_overlaps >= thresh)[0]
    nearest = bbox_overlaps(boxes[regressed], boxes[annotated]).argmax(axis=1)
    targets[regressed, 0] = labels[regressed]
    targets[regressed, 1:] = bbox_transform(boxes[regressed], boxes[annotated[nearest]])
    return targets


def target_statistics(all_targets: Iterable[np.ndarray], num_classes: int) -> Statistics:
    """Statistics over targets (R, 5), one array per image; zero for the background.

    A column of a class without any spread has a standard deviation of 0.
    """
    counts = np.zeros(num_classes)
    sums, squares = np.zeros((2, num_classes, 4))
    for targets in all_targets:
        classes = targets[:, 0].astype(int)
        counts += np.bincount(classes, minlength=num_classes)
        for column in range(4):
            values = targets[:, column + 1].astype(np.float64)
            sums[:, column] += np.bincount(classes, values, num_classes)
            squares[:, column] += np.bincount(classes, values ** 2, num_classes)
    counts[0] = 0
    divisor = np.maximum(counts, 1)[:, None]
    present = (counts > 0)[:, None]
    means = np.where(present, sums / divisor, 0)
    variances = np.where(present, squares / divisor - means ** 2, 0)
    stds = np.sqrt(np.where(variances > NO_SPREAD, variances, 0))
    return Statistics(means, stds, counts.astype(int))


def as_one_class(targets: np.ndarray) -> None:
    """Sets the class in targets (R, 5), in place, to 1 wherever it is not the background."""
    targets[:, 0] = targets[:, 0] > 0


def normalize(targets: np.ndarray, means: np.ndarray, stds: np.ndarray) -> None:
    """Normalises targets (R, 5) in place: subtracts the means (K, 4) of each row's class, divides
    by its stds (K, 4)."""
    regressed = np.where(targets[:, 0] > 0)[0]
    classes = targets[regressed, 0].astype(int)
    targets[regressed, 1:] = (targets[regressed, 1:] - means[classes]) / stds[classes]
