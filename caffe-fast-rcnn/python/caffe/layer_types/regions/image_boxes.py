"""From boxes in shares of a net's input to pixels of the image (SSD: bbox_util.cpp, OutputBBox).

Boxes are x1, y1, x2, y2.
"""
import torch
from torch import Tensor

from caffe.proto.caffe_pb2 import ResizeParameter


def on_image(boxes: Tensor, height: int, width: int, resize: ResizeParameter | None) -> Tensor:
    """The boxes (G, 4) in pixels of an image of this size, clipped to it.

    resize: how the image was resized; None stands for WARP, which keeps shares as they are.
    """
    size = boxes.new_tensor([width, height]).repeat(2)
    if resize is None:
        return boxes.clamp(0, 1) * size
    mode = resize.resize_mode
    if mode == ResizeParameter.FIT_SMALL_SIZE and resize.height_scale and resize.width_scale:
        scale = boxes.new_tensor([resize.width_scale, resize.height_scale]).repeat(2)
        return (boxes * scale).clamp(min=0).minimum(size)
    if mode == ResizeParameter.FIT_LARGE_SIZE_AND_PAD:
        boxes = _without_padding(boxes, width / height, resize)
    return boxes.clamp(0, 1) * size


def _without_padding(boxes: Tensor, aspect: float, resize: ResizeParameter) -> Tensor:
    """Boxes in shares of the part of the net's input that shows the image."""
    share_x = min(1.0, aspect * resize.height / resize.width)
    share_y = min(1.0, resize.width / aspect / resize.height)
    share = boxes.new_tensor([share_x, share_y]).repeat(2)
    return (boxes - (1 - share) / 2) / share


def pixel_overlaps(box: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of a box (4,) and others (G, 4) in pixels, the last one included."""
    sides = (torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2]) + 1)
    touching = (sides >= 1).all(1)
    shared = torch.where(touching, sides.prod(1), 0)
    areas = (others[:, 2:] - others[:, :2] + 1).prod(1) + (box[2:] - box[:2] + 1).prod()
    return shared / (areas - shared)
