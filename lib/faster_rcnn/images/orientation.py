"""Photographs as a viewer shows them: turned as the note of the camera (EXIF) says.

Data sets count pixels as they are stored (reading.py); who looks at a photograph sees it turned.
"""
from collections.abc import Callable

import numpy as np

from faster_rcnn.images.reading import image_orientation, read_image

# EXIF's number: what is to be done with the stored rows and columns
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda im: im,
    2: lambda im: im[:, ::-1],
    3: lambda im: im[::-1, ::-1],
    4: lambda im: im[::-1],
    5: lambda im: im.swapaxes(0, 1),
    6: lambda im: np.rot90(im, -1),
    7: lambda im: im[::-1, ::-1].swapaxes(0, 1),
    8: lambda im: np.rot90(im),
}


def turned(im: np.ndarray, orientation: int) -> np.ndarray:
    """An image (H, W, ...), as stored, as it is to be shown; orientation: EXIF's 1 to 8."""
    return np.ascontiguousarray(_TURNS[orientation](im))


def read_upright(path: str) -> np.ndarray:
    """The image of a file, (H, W, 3) uint8, BGR, upright; cameras write the note into JPEG files,
    and only there it counts. Raises ImageError, as read_image."""
    return turned(read_image(path), image_orientation(path))
