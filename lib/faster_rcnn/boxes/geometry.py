"""Geometry of boxes (x1, y1, x2, y2) in pixels with inclusive corners: the only place of the + 1.

A box from x1 to x2 is x2 - x1 + 1 pixels wide and its centre is x1 + width / 2. Boxes are arrays
(..., 4), or (N, 4 K) with K boxes per row where a function says so. Functions take numpy arrays
or torch tensors, unless they say otherwise, and keep dtype and device.
"""
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch

from faster_rcnn.boxes.arrays import for_arrays

Array = TypeVar("Array", np.ndarray, torch.Tensor)


def sizes(boxes: Array) -> tuple[Array, Array]:
    """Widths and heights, each boxes.shape[:-1]."""
    return boxes[..., 2] - boxes[..., 0] + 1, boxes[..., 3] - boxes[..., 1] + 1


def areas(boxes: Array) -> Array:
    """Numbers of pixels, boxes.shape[:-1]."""
    widths, heights = sizes(boxes)
    return widths * heights


def centres_and_sizes(boxes: Array) -> tuple[Array, Array, Array, Array]:
    """Centre x, centre y, width and height, each boxes.shape[:-1]."""
    widths, heights = sizes(boxes)
    return boxes[..., 0] + 0.5 * widths, boxes[..., 1] + 0.5 * heights, widths, heights


def mirrored(boxes: Array, width: int) -> Array:
    """Boxes (N, 4) of an image `width` pixels wide, after it was mirrored left to right."""
    flipped = boxes.clone() if isinstance(boxes, torch.Tensor) else boxes.copy()
    flipped[:, 0] = width - boxes[:, 2] - 1
    flipped[:, 2] = width - boxes[:, 0] - 1
    return flipped


def transposed(boxes: Array) -> Array:
    """Boxes (N, 4) of an image after its rows became columns."""
    return boxes[:, [1, 0, 3, 2]]


def clipped(boxes: torch.Tensor, im_shape: torch.Tensor | Sequence[float]) -> torch.Tensor:
    """Boxes (N, 4 K) with every coordinate limited to the image.

    im_shape: (height, width, ...), numbers or a tensor on the boxes' device.
    """
    if isinstance(im_shape, torch.Tensor):
        limits = (im_shape[:2].flip(0) - 1).to(boxes.dtype)
    else:
        limits = boxes.new_tensor([float(im_shape[1] - 1), float(im_shape[0] - 1)])
    return boxes.minimum(limits.repeat(boxes.shape[1] // 2)).clamp(min=0)


@for_arrays(2)
@torch.no_grad()
def overlaps(boxes: torch.Tensor, query_boxes: torch.Tensor) -> torch.Tensor:
    """Intersection over union of boxes (N, 4) and query_boxes (M, 4): (N, M).

    0 where two boxes share nothing, even if they have no area themselves.
    """
    # queries by boxes, so that the long axis is the fast one; in place, because new memory costs
    # more than the arithmetic
    columns = boxes.t().contiguous()
    x1, y1, x2, y2 = columns
    others = query_boxes.t()[:, :, None]
    widths = torch.minimum(x2, others[2]).sub_(torch.maximum(x1, others[0])).add_(1).clamp_(min=0)
    heights = torch.minimum(y2, others[3]).sub_(torch.maximum(y1, others[1])).add_(1).clamp_(min=0)
    shared = widths.mul_(heights)
    union = torch.add(areas(columns.t()), areas(query_boxes)[:, None], out=heights).sub_(shared)
    return shared.div_(union.clamp_(min=torch.finfo(union.dtype).tiny)).t()
