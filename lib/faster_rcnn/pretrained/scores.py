"""Whether converted weights give the scores that their own program gives, for a drawn picture."""
from collections.abc import Sequence
from typing import Any

import numpy as np


def picture(height: int = 96, width: int = 160) -> np.ndarray:
    """(H, W, 3) uint8, blue green red: smooth waves and edges."""
    y, x = np.mgrid[:height, :width].astype(np.int64)
    return np.stack([(x * x + 3 * y) // 16 % 256, (5 * x + y * y // 8) % 256,
                     (x * y // 32 + 7 * (x // 24)) % 256], 2).astype(np.uint8)


def class_scores(net: Any, means: Sequence[float]) -> np.ndarray:
    """(1000,) of a classifier, a caffe.Net with one output, for `picture`; means: (3,) BGR."""
    image = picture()
    net.blobs["data"].reshape(1, 3, *image.shape[:2])
    net.blobs["data"].data[0] = (image - np.array(means, np.float32)).transpose(2, 0, 1)
    return next(iter(net.forward().values())).ravel().copy()
