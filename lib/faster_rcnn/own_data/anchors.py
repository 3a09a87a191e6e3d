"""Anchors for a data set: the usual ones where they do, else centres of clusters of its boxes."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from faster_rcnn.anchors.coverage import best_overlaps, propose_anchors, scaled_objects
from faster_rcnn.anchors.grid import AnchorGrid

STRIDE, NUM_SCALES, NUM_RATIOS = 16, 3, 3
USUAL: dict[str, tuple[float, ...]] = {"scales": (8, 16, 32), "ratios": (0.5, 1, 2)}
# Pictures that are looked at
MAX_IMAGES = 2000
# Neighbouring scales, and ratios, are at least so many times as large as the last: objects of one
# size in the training set may be a little larger or smaller elsewhere
APART = 1.3
# Mean overlap that other anchors must gain
GAIN = 0.02


@dataclass(frozen=True)
class Anchors:
    """scales and ratios, and the mean overlap of objects with their best anchor; `usual`: that of
    the usual anchors. are_usual: nothing is gained by others.
    """

    scales: tuple[float, ...]
    ratios: tuple[float, ...]
    overlap: float
    usual: float
    are_usual: bool


def proposed_anchors(imdb: Any, side: int, cap: int) -> Anchors:
    """The Anchors for the objects of a data set whose pictures are scaled to side and cap."""
    objects = scaled_objects(imdb, (side,), cap, MAX_IMAGES)
    usual = float(np.mean(best_overlaps(objects, _grid(**USUAL))))
    scales, ratios = (spread(values, count) for values, count in zip(
        propose_anchors(objects, NUM_SCALES, NUM_RATIOS), (NUM_SCALES, NUM_RATIOS)))
    own = float(np.mean(best_overlaps(objects, _grid(scales, ratios))))
    if own < usual + GAIN:
        return Anchors(USUAL["scales"], USUAL["ratios"], usual, usual, True)
    return Anchors(scales, ratios, own, usual, False)


def spread(values: tuple[float, ...], count: int) -> tuple[float, ...]:
    """The values, or `count` values around their geometric mean where these are closer."""
    if len(values) == count and values[-1] >= values[0] * APART ** (count - 1):
        return values
    middle = float(np.exp(np.mean(np.log(values))))
    return tuple(float(f"{middle * APART ** (i - (count - 1) / 2):.2g}") for i in range(count))


def _grid(scales: tuple[float, ...], ratios: tuple[float, ...]) -> AnchorGrid:
    return AnchorGrid(feat_stride=STRIDE, scales=scales, ratios=ratios)
