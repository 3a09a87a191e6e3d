"""The reference boxes of one position of the feature map (Ren et al. 2015, Faster R-CNN, 3.1.1)."""
from collections.abc import Sequence

import numpy as np


def generate_anchors(base_size: float = 16, ratios: Sequence[float] = (0.5, 1, 2),
                     scales: Sequence[float] = (8, 16, 32)) -> np.ndarray:
    """Anchors about a cell of base_size x base_size pixels whose first pixel is (0, 0).

    A ratio is height / width; the width and height that it makes of the cell are rounded (halves to
    the even neighbour) before they are scaled. Returns (len(ratios) * len(scales), 4) float64, x1,
    y1, x2, y2 with inclusive corners, the ratio being the slow index and the scale the fast one.
    """
    shapes = np.asarray(ratios, np.float64)
    widths = np.round(np.sqrt(base_size * base_size / shapes))
    heights = np.round(widths * shapes)
    sizes = np.stack([np.outer(widths, scales).ravel(), np.outer(heights, scales).ravel()], 1)
    middle = (base_size - 1) / 2
    return np.hstack([middle - (sizes - 1) / 2, middle + (sizes - 1) / 2])
