"""From inputs (RGB / 255 - mean) / std to ours: BGR from 0 to 255, minus PIXEL_MEANS.

Only the order of the channels and the scale go into the first convolution. The means stay outside:
the bias could take them as well, but then the zeros that pad an image would be black instead of the
mean colour, and all values near the border would differ.
"""
from collections.abc import Sequence

import numpy as np

from faster_rcnn.pretrained.reading.checkpoints import CheckpointError

TORCHVISION_MEAN, TORCHVISION_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)    # RGB


def fold_scale(weight: np.ndarray, std: Sequence[float] = TORCHVISION_STD) -> np.ndarray:
    """The weight (O, 3, h, w) of a first convolution on (RGB / 255 - mean) / std, for BGR - means.

    CheckpointError for a weight of another shape.
    """
    if weight.ndim != 4 or weight.shape[1] != 3:
        raise CheckpointError(f"the first convolution has a weight of shape {weight.shape}, not "
                              "(N, 3, height, width): only inputs of three colours can be changed "
                              "(--input caffe leaves them as they are)")
    scaled = weight / (255 * np.array(std)).reshape(1, 3, 1, 1)
    return np.ascontiguousarray(scaled[:, ::-1]).astype(np.float32)


def pixel_means(mean: Sequence[float] = TORCHVISION_MEAN) -> np.ndarray:
    """PIXEL_MEANS that go with fold_scale: (3,) BGR."""
    return 255 * np.array(mean)[::-1]


def means_option(means: Sequence[float]) -> str:
    """The option of a command line that sets PIXEL_MEANS."""
    return '--set PIXEL_MEANS "[[[' + ", ".join(f"{value:.6g}" for value in means) + ']]]"'
