"""Boxes as offsets from reference boxes (Girshick et al. 2014, R-CNN, appendix C) and back.

Every function takes numpy arrays and returns a numpy array, or takes tensors and returns a tensor
on their device, of the same dtype. Boxes are (x1, y1, x2, y2), pixels, inclusive.
"""
from collections.abc import Sequence

import torch

from faster_rcnn.boxes import geometry
from faster_rcnn.boxes.arrays import for_arrays


@for_arrays(2)
def bbox_transform(ex_rois: torch.Tensor, gt_rois: torch.Tensor) -> torch.Tensor:
    """The targets that take ex_rois (N, 4) to gt_rois (N, 4): (N, 4), dx, dy, dw, dh.

    dx and dy are shifts of the centre in units of the reference's size, dw and dh logarithms
    of the ratios of the sizes.
    """
    ex_x, ex_y, ex_widths, ex_heights = geometry.centres_and_sizes(ex_rois)
    gt_x, gt_y, gt_widths, gt_heights = geometry.centres_and_sizes(gt_rois)
    return torch.stack([(gt_x - ex_x) / ex_widths, (gt_y - ex_y) / ex_heights,
                        torch.log(gt_widths / ex_widths), torch.log(gt_heights / ex_heights)], 1)


@for_arrays(2)
def bbox_transform_inv(boxes: torch.Tensor, deltas: torch.Tensor,
                       max_log_scale: float = 0.0) -> torch.Tensor:
    """Applies deltas (N, 4 K) to boxes (N, 4): (N, 4 K) boxes, in the dtype of the deltas.

    The far corner is centre + size / 2, so zero deltas make a box one pixel larger (py-faster-rcnn:
    bbox_transform.py). max_log_scale > 0 limits dw and dh.
    """
    x, y, widths, heights = [v[:, None] for v in geometry.centres_and_sizes(boxes.to(deltas.dtype))]
    log_scales = deltas.unflatten(1, (-1, 4))[..., 2:]
    if max_log_scale > 0:
        log_scales = log_scales.clamp(max=max_log_scale)
    pred_x, pred_y = deltas[:, 0::4] * widths + x, deltas[:, 1::4] * heights + y
    half_widths = 0.5 * torch.exp(log_scales[..., 0]) * widths
    half_heights = 0.5 * torch.exp(log_scales[..., 1]) * heights
    return torch.stack([pred_x - half_widths, pred_y - half_heights,
                        pred_x + half_widths, pred_y + half_heights], 2).flatten(1)


@for_arrays(1)
def clip_boxes(boxes: torch.Tensor, im_shape: torch.Tensor | Sequence[float]) -> torch.Tensor:
    """Boxes (N, 4 K) with all coordinates limited to an image of im_shape (height, width, ...)."""
    return geometry.clipped(boxes, im_shape)
