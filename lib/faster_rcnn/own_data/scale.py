"""The scale at which a data set's small objects are large enough for the net."""
from dataclasses import dataclass

import numpy as np

# Sides of small objects (the smallest twentieth) on the scaled picture, in pixels: one cell of a
# map with stride 16 at least, more where that costs little
LEAST_SIDE, GOOD_SIDE = 16, 40
# Shorter sides of the scaled picture: what costs little, and what is not exceeded
USUAL, LARGEST = (400, 600), 1000
# Pictures are not enlarged more than this: there is nothing more to see
ENLARGEMENT = 3.0
STEP = 8
# Proposals narrower than cfg.TRAIN.RPN_MIN_SIZE in the original picture are dropped
USUAL_MIN_SIZE = 16


@dataclass(frozen=True)
class Scale:
    """Shorter side and cap of the longer one of the scaled picture, in pixels; small: side of small
    objects in the original picture and on the scaled one.
    """

    side: int
    cap: int
    small: tuple[float, float]


def proposed_scale(box_sizes: np.ndarray, image_sizes: np.ndarray) -> Scale:
    """The Scale for objects and pictures.

    box_sizes: (N, 2) widths and heights in pixels; image_sizes: (M, 2) likewise.
    """
    small = float(np.quantile(np.sqrt(box_sizes.prod(axis=1)), 0.05))
    shorter = float(np.median(image_sizes.min(axis=1)))
    good = float(np.clip(shorter * GOOD_SIDE / small, *USUAL))
    needed = shorter * LEAST_SIDE / small
    side = min(max(good, needed), LARGEST, max(ENLARGEMENT * shorter, USUAL[0]))
    side = int(STEP * round(side / STEP))
    # most pictures keep their proportions; a panorama does not fill the memory
    ratio = float(np.quantile(image_sizes.max(axis=1) / image_sizes.min(axis=1), 0.95))
    cap = int(STEP * np.ceil(side * min(max(ratio, 1000 / 600), 2.0) / STEP))
    return Scale(side, cap, (small, small * side / shorter))


def proposed_min_size(box_sizes: np.ndarray) -> int:
    """The side, in pixels of the original picture, that proposals must have: the usual 16, or half
    of the shortest sides of objects (the first hundredth) where these are near it or less.
    """
    shortest = float(np.quantile(box_sizes.min(axis=1), 0.01))
    return USUAL_MIN_SIZE if shortest >= 1.5 * USUAL_MIN_SIZE else max(2, int(shortest / 2))
