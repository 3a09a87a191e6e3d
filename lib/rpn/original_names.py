"""Helpers of the original's RPN layers, which other projects import by their private names.

They take numpy arrays, return numpy arrays, and read the present `cfg` where the original does.
rpn.proposal_layer, rpn.anchor_target_layer and rpn.proposal_target_layer have them with an
underscore before the name.
"""
import numpy as np
import torch

from faster_rcnn.boxes import geometry
from faster_rcnn.boxes.sampling import expand_targets, nearest_boxes, roi_targets
from faster_rcnn.boxes.sampling import sample_rois as draw_rois
from faster_rcnn.boxes.transform import bbox_transform
from faster_rcnn.minibatches.options import RoiOptions


def filter_boxes(boxes: np.ndarray, min_size: float) -> np.ndarray:
    """Indices of the boxes (N, 4) whose width and height are at least min_size pixels."""
    widths, heights = geometry.sizes(boxes)
    return np.where((widths >= min_size) & (heights >= min_size))[0]


def unmap(data: np.ndarray, count: int, inds: np.ndarray, fill: float = 0) -> np.ndarray:
    """An array (count, ...) float32 with data (N, ...) in the rows inds (N,), elsewhere `fill`."""
    whole = np.full((count, *data.shape[1:]), fill, np.float32)
    whole[inds] = data
    return whole


def anchor_deltas(ex_rois: np.ndarray, gt_rois: np.ndarray) -> np.ndarray:
    """Targets (N, 4) float32 of anchors (N, 4) towards gt_rois (N, 5), x1, y1, x2, y2, class."""
    return bbox_transform(ex_rois, gt_rois[:, :4]).astype(np.float32)


def roi_deltas(ex_rois: np.ndarray, gt_rois: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Rows label, dx, dy, dw, dh, (N, 5) float32, of rois (N, 4) towards boxes (N, 4); normalised
    with TRAIN.BBOX_NORMALIZE_TARGETS_PRECOMPUTED."""
    targets = bbox_transform(ex_rois, gt_rois)
    normalization = RoiOptions.from_cfg().normalization
    if normalization:
        means, stds = map(np.array, normalization)
        targets = (targets - means) / stds
    return np.hstack((labels[:, None], targets)).astype(np.float32)


def bbox_regression_labels(bbox_target_data: np.ndarray,
                           num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """bbox_targets and bbox_inside_weights (N, 4 num_classes) float32 of rows class, dx, dy, dw, dh
    (N, 5)."""
    options = RoiOptions.from_cfg()
    rows = torch.from_numpy(np.asarray(bbox_target_data, np.float32))
    targets, weights = expand_targets(rows[:, 0], rows[:, 1:], num_classes,
                                      options.inside_weights, options.agnostic)
    return targets.numpy(), weights.numpy()


def sample_rois(all_rois: np.ndarray, gt_boxes: np.ndarray, fg_rois_per_image: int,
                rois_per_image: int, num_classes: int) -> tuple[np.ndarray, ...]:
    """Samples foreground and background from rois (R, 5), image, x1, y1, x2, y2.

    gt_boxes: (G, 5), x1, y1, x2, y2, class. Returns labels (S,), rois (S, 5), bbox_targets and
    bbox_inside_weights (S, 4 num_classes), foreground first.
    """
    options = RoiOptions.from_cfg()
    rois, objects = (torch.from_numpy(np.asarray(rows, np.float32)) for rows in
                     (all_rois, gt_boxes))
    max_overlaps, nearest = nearest_boxes(rois[:, 1:5], objects[:, :4])
    keep, num_fg = draw_rois(max_overlaps, int(rois_per_image), fg_rois_per_image / rois_per_image,
                             options.fg_thresh, options.bg_thresh)
    labels, _ = roi_targets(rois[keep, 1:5], objects, nearest[keep], num_fg)
    rows = roi_deltas(rois[keep, 1:5].numpy(), objects[nearest[keep], :4].numpy(), labels.numpy())
    return (labels.numpy(), rois[keep].numpy(), *bbox_regression_labels(rows, num_classes))
