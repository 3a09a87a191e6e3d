"""Random changes of training images and their boxes: pure functions of a generator and arrays.

Images are (H, W, 3), BGR; boxes (R, 4) x1, y1, x2, y2 in pixels, inclusive; windows are
boxes of four ints. `rng` is a numpy RandomState; the same state gives the same change.
"""
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from caffe.core.errors import UserError
from faster_rcnn.boxes.geometry import centres_and_sizes

# Windows tried until one keeps a box, and how much wider or higher than the image they may be
CROP_ATTEMPTS = 10
CROP_ASPECT = 4 / 3


class AugmentError(UserError, ValueError):
    """Settings of the random changes that make no sense; the message names the key."""


@dataclass(frozen=True)
class AugmentOptions:
    """The settings SCALE_JITTER, COLOR_JITTER and RANDOM_CROP of cfg.TRAIN; off by default.

    Raises AugmentError for numbers that make no sense.
    """

    scale_jitter: tuple[float, ...] = (1.0, 1.0)
    color_jitter: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    random_crop: tuple[float, ...] = (0.0, 0.5)

    def any(self) -> bool:
        """Whether images are changed at random."""
        return (tuple(self.scale_jitter) != (1, 1) or any(self.color_jitter)
                or self.random_crop[0] > 0)

    def __post_init__(self) -> None:
        scale, color, crop = self.scale_jitter, self.color_jitter, self.random_crop
        if len(scale) != 2 or not 0 < scale[0] <= scale[1]:
            raise AugmentError("TRAIN.SCALE_JITTER must be a lowest and a highest factor, such as "
                               f"[0.8, 1.25]; received {list(scale)}")
        if len(color) != 4 or min(color) < 0 or max(color[:3]) > 1 or color[3] > 0.5:
            raise AugmentError("TRAIN.COLOR_JITTER must be the amounts of brightness, contrast, "
                               "saturation (0 to 1) and hue (0 to 0.5 of the circle); received "
                               f"{list(color)}")
        if len(crop) != 2 or not 0 <= crop[0] <= 1 or not 0 < crop[1] <= 1:
            raise AugmentError("TRAIN.RANDOM_CROP must be a probability and the smallest share of "
                               "the image's area to keep, such as [0.5, 0.4]; received "
                               f"{list(crop)}")


def turned_image(im: np.ndarray, entry: dict) -> np.ndarray:
    """The image as a roidb entry needs it: mirrored left to right (flipped), then top to bottom
    (vflipped), then with rows and columns exchanged (transposed).
    """
    if entry["flipped"]:
        im = im[:, ::-1]
    if entry.get("vflipped"):
        im = im[::-1]
    return im.transpose(1, 0, 2) if entry.get("transposed") else im


def turned_words(entry: dict) -> str:
    """How messages call the position of an entry's image; empty for the image as it is."""
    words = [word for key, word in (("flipped", "mirrored"), ("vflipped", "upside down"),
                                    ("transposed", "transposed")) if entry.get(key)]
    return f" ({', '.join(words)})" if words else ""


def jittered_scale(rng: np.random.RandomState, size: float,
                   limits: tuple[float, float]) -> float:
    """`size` times a factor whose logarithm is uniform between those of the limits."""
    return size * float(np.exp(rng.uniform(*np.log(limits))))


def jittered_colors(rng: np.random.RandomState, im: np.ndarray,
                    amounts: Sequence[float]) -> np.ndarray:
    """The image, float32, with its colours changed at random.

    amounts: of brightness, contrast and saturation, factors 1 - a to 1 + a on the values, on
    their distance from the mean grey, and on their distance from each pixel's grey; and of hue, a
    turn of -a to a of the colour circle. All four are drawn, in this order.
    """
    brightness, contrast, saturation = 1 + np.array(amounts[:3]) * rng.uniform(-1, 1, 3)
    turn = amounts[3] * rng.uniform(-1, 1)
    im = np.ascontiguousarray(im).astype(np.float32) * np.float32(brightness)
    mean = cv2.cvtColor(im, cv2.COLOR_BGR2GRAY).mean()
    im = np.clip(mean + (im - mean) * np.float32(contrast), 0, 255)
    grey = cv2.cvtColor(im, cv2.COLOR_BGR2GRAY)[..., None]
    im = np.clip(grey + (im - grey) * np.float32(saturation), 0, 255)
    if turn:
        hsv = cv2.cvtColor(im, cv2.COLOR_BGR2HSV)       # of float32: hue in degrees
        hsv[..., 0] = (hsv[..., 0] + np.float32(360 * turn)) % 360
        im = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    return im


def crop_window(rng: np.random.RandomState, im_shape: Sequence[int], boxes: np.ndarray,
                options: Sequence[float]) -> tuple[int, int, int, int]:
    """A window to cut out, by options (probability, smallest area); the whole image otherwise.

    Its share of the area is uniform between the smallest and 1. It keeps the centre of one of the
    boxes at least, when there are any; when no attempt does, the image stays whole.
    """
    height, width = im_shape[:2]
    probability, smallest = options
    if rng.uniform() < probability:
        for _ in range(CROP_ATTEMPTS):
            window = _window(rng, height, width, smallest)
            if not len(boxes) or centres_inside(boxes, window).any():
                return window
    return 0, 0, width - 1, height - 1


def _window(rng: np.random.RandomState, height: int, width: int,
            smallest: float) -> tuple[int, int, int, int]:
    area = rng.uniform(smallest, 1) * height * width
    aspect = np.exp(rng.uniform(-1, 1) * np.log(CROP_ASPECT)) * width / height
    wide = int(min(width, np.ceil(np.sqrt(area * aspect))))
    high = int(min(height, np.ceil(area / wide)))
    wide = int(min(width, np.ceil(area / high)))
    x, y = rng.randint(width - wide + 1), rng.randint(height - high + 1)
    return x, y, x + wide - 1, y + high - 1


def centres_inside(boxes: np.ndarray, window: Sequence[int]) -> np.ndarray:
    """Whether the centre of each box lies in the window: (R,) bool."""
    x, y = centres_and_sizes(np.asarray(boxes, np.float64))[:2]
    x1, y1, x2, y2 = window
    return (x >= x1) & (x < x2 + 1) & (y >= y1) & (y < y2 + 1)


def cropped_boxes(boxes: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
    """Boxes as they are in the window, clipped to it, in their own dtype; their centres must lie
    inside.
    """
    low, high = np.tile(window[:2], 2), np.tile(window[2:], 2)
    moved = np.clip(np.asarray(boxes, np.float64), low, high) - low
    return moved.astype(np.asarray(boxes).dtype)
