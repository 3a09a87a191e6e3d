"""Helpers for lists of boxes (R, 4), x1, y1, x2, y2, inclusive pixels (datasets.ds_utils)."""
import numpy as np

from caffe.core.errors import InputError
from faster_rcnn.boxes.geometry import sizes


def unique_boxes(boxes: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Sorted indices of the first of all boxes that are equal after scaling and rounding."""
    scaled = np.round(np.asarray(boxes, np.float64) * scale)
    _, index = np.unique(scaled, axis=0, return_index=True)
    return np.sort(index)


def xywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """x, y, width, height to corners."""
    return np.hstack((boxes[:, 0:2], boxes[:, 0:2] + boxes[:, 2:4] - 1))


def xyxy_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """Corners to x, y, width, height."""
    return np.hstack((boxes[:, 0:2], np.stack(sizes(boxes), axis=1)))


def validate_boxes(boxes: np.ndarray, width: float = 0, height: float = 0) -> None:
    """ValueError unless all boxes lie in an image of the given size, corners in order."""
    x1, y1, x2, y2 = np.asarray(boxes, np.float64).reshape(-1, 4).T
    good = (x1 >= 0) & (y1 >= 0) & (x2 >= x1) & (y2 >= y1) & (x2 < width) & (y2 < height)
    if not good.all():
        first = int(np.argmin(good))
        raise InputError(f"box {first + 1} {np.asarray(boxes)[first].tolist()} does not lie in an "
                         f"image of {width} x {height} pixels")


def filter_small_boxes(boxes: np.ndarray, min_size: float) -> np.ndarray:
    """Indices of the boxes with x2 - x1 >= min_size and y2 - y1 > min_size."""
    # both comparisons, without + 1, as in py-faster-rcnn: ds_utils.py
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return np.where((widths >= min_size) & (heights > min_size))[0]
