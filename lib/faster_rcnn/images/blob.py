"""Images as network input."""
from collections.abc import Sequence

import cv2
import numpy as np


def im_list_to_blob(ims: Sequence[np.ndarray], multiple_of: int = 1) -> np.ndarray:
    """A list of (h, w, 3) float32 images as one (n, 3, H, W) float32, zeros right and below.

    H and W are the largest sides, rounded up to multiples of a number.
    """
    height, width = -(-np.max([im.shape[:2] for im in ims], axis=0) // multiple_of) * multiple_of
    if all(im.shape[:2] == (height, width) for im in ims):
        blob = np.asarray(ims[0], np.float32)[None] if len(ims) == 1 else np.stack(ims)
    else:
        blob = np.zeros((len(ims), height, width, 3), np.float32)
        for target, im in zip(blob, ims):
            target[:im.shape[0], :im.shape[1]] = im
    return blob.transpose(0, 3, 1, 2)


def im_scale_factor(im_shape: Sequence[int], target_size: float, max_size: float) -> float:
    """The factor that makes the shorter side `target_size`, the longer one at most `max_size`."""
    shorter, longer = min(im_shape[:2]), max(im_shape[:2])
    scale = float(target_size) / float(shorter)
    # np.round takes halves to the even neighbour; py-faster-rcnn: prep_im_for_blob
    if np.round(scale * longer) > max_size:
        scale = float(max_size) / float(longer)
    return scale


def prep_im_for_blob(im: np.ndarray, pixel_means: Sequence[float] | np.ndarray, target_size: float,
                     max_size: float) -> tuple[np.ndarray, float]:
    """Subtracts the means, then scales.

    im: (h, w, 3), BGR, any dtype; pixel_means: 3 numbers.
    Returns the scaled image, (h', w', 3) float32, and the scale factor.
    """
    scale = im_scale_factor(im.shape, target_size, max_size)
    means = tuple(np.ravel(pixel_means).tolist())
    centred = cv2.subtract(im, (*means, 0.0), dtype=cv2.CV_32F)
    return cv2.resize(centred, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR), scale


def image_pyramid_blob(im: np.ndarray, pixel_means: Sequence[float] | np.ndarray,
                       target_sizes: Sequence[float], max_size: float,
                       multiple_of: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """An image at several scales as network input.

    Returns the blob (levels, 3, H, W) float32, padded to the largest level and to multiples of a
    number, and the scale factors (levels,) float64.
    """
    levels = [prep_im_for_blob(im, pixel_means, size, max_size) for size in target_sizes]
    return (im_list_to_blob([level for level, _ in levels], multiple_of),
            np.array([scale for _, scale in levels]))
