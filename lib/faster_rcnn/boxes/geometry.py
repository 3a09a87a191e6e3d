"""Geometry of boxes (x1, y1, x2, y2) in pixels with inclusive corners: the home of the + 1.

A box from x1 to x2 is x2 - x1 + 1 pixels wide and its centre is x1 + width / 2. Boxes are arrays
(..., 4), or (N, 4 K) with K boxes per row where a function says so. Functions take numpy arrays
or torch tensors, where they do not say otherwise, and keep dtype and device.
"""
import torch


def sizes(boxes):
    """Widths and heights, each boxes.shape[:-1]."""
    return boxes[..., 2] - boxes[..., 0] + 1, boxes[..., 3] - boxes[..., 1] + 1


def areas(boxes):
    """Numbers of pixels, boxes.shape[:-1]."""
    widths, heights = sizes(boxes)
    return widths * heights


def centres_and_sizes(boxes):
    """Centre x, centre y, width and height, each boxes.shape[:-1]."""
    widths, heights = sizes(boxes)
    return boxes[..., 0] + 0.5 * widths, boxes[..., 1] + 0.5 * heights, widths, heights


def mirrored(boxes, width):
    """Boxes (N, 4) of an image `width` pixels wide, after it was mirrored left to right."""
    flipped = boxes.copy() if hasattr(boxes, "copy") else boxes.clone()
    flipped[:, 0] = width - boxes[:, 2] - 1
    flipped[:, 2] = width - boxes[:, 0] - 1
    return flipped


def transposed(boxes):
    """Boxes (N, 4) of an image after its rows became columns."""
    return boxes[:, [1, 0, 3, 2]]


def clipped(boxes, im_shape):
    """Tensor (N, 4 K) of boxes with every coordinate limited to the image.

    im_shape: (height, width, ...), numbers or a tensor on the boxes' device.
    """
    last = [im_shape[1] - 1, im_shape[0] - 1]
    if isinstance(im_shape, torch.Tensor):
        limits = torch.stack(last).to(boxes.dtype)
    else:
        limits = boxes.new_tensor([float(v) for v in last])
    return boxes.minimum(limits.repeat(boxes.shape[1] // 2)).clamp(min=0)


def overlaps(boxes, query_boxes):
    """Intersection over union of tensors (N, 4) and (M, 4): (N, M)."""
    # queries by boxes, so that the long axis is the fast one
    x1, y1, x2, y2 = boxes.t().contiguous()
    others = query_boxes.t()[:, :, None]
    widths = (torch.minimum(x2, others[2]) - torch.maximum(x1, others[0])).add_(1).clamp_(min=0)
    heights = (torch.minimum(y2, others[3]) - torch.maximum(y1, others[1])).add_(1).clamp_(min=0)
    shared = widths.mul_(heights)
    return shared.div_(areas(boxes) + areas(query_boxes)[:, None] - shared).t()
