"""Images as network input."""
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from faster_rcnn.images.reading import ImageError, max_pixels


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


def scaled_image(im: np.ndarray, scale: float, interpolation: int) -> np.ndarray:
    """An image (h, w, 3) times a factor, at least one pixel wide and high.

    interpolation: OpenCV's number. Raises ImageError where the result would have too many pixels.
    """
    height, width = (max(1, round(float(side * scale))) for side in im.shape[:2])
    if height * width > max_pixels():
        raise ImageError(f"an image of {im.shape[1]} x {im.shape[0]} pixels would be scaled to "
                         f"{width} x {height}, more than the limit of {max_pixels()} pixels; use "
                         "smaller scales")
    if not round(float(min(im.shape[:2]) * scale)):
        return cv2.resize(im, (width, height), interpolation=interpolation)
    # the factor itself, not the ratio of the rounded sizes, places the pixels
    return cv2.resize(im, None, fx=scale, fy=scale, interpolation=interpolation)


def prep_im_for_blob(im: np.ndarray, pixel_means: Sequence[float] | np.ndarray, target_size: float,
                     max_size: float) -> tuple[np.ndarray, float]:
    """Subtracts the means, then scales.

    im: (h, w, 3), BGR, any dtype; pixel_means: 3 numbers.
    Returns the scaled image, (h', w', 3) float32, and the scale factor. Raises ImageError where the
    image would have too many pixels.
    """
    scale = im_scale_factor(im.shape, target_size, max_size)
    means: Any = (*np.ravel(pixel_means).tolist(), 0.0)
    centred = cv2.subtract(im, means, dtype=cv2.CV_32F)
    return scaled_image(centred, scale, cv2.INTER_LINEAR), scale


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
