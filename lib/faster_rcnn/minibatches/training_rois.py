"""Training rois of a net that makes its own proposals (Ren et al. 2015, section 3.2)."""
from typing import NamedTuple

import torch

from faster_rcnn.boxes.sampling import (
    expand_targets,
    nearest_boxes,
    roi_targets,
    rois_per_image,
    sample_rois,
)
from faster_rcnn.minibatches.options import RoiOptions


class TrainingRois(NamedTuple):
    """S sampled rois of an image, foreground first, and what they should learn; K classes."""

    rows: torch.Tensor                      # (S,) int64, indices of the candidates
    labels: torch.Tensor                    # (S,), 0 background
    bbox_targets: torch.Tensor              # (S, 4 K)
    bbox_inside_weights: torch.Tensor       # (S, 4 K)
    bbox_outside_weights: torch.Tensor      # (S, 4 K)


def training_rois(rois: torch.Tensor, gt_boxes: torch.Tensor, num_images: int, num_classes: int,
                  options: RoiOptions) -> TrainingRois:
    """Samples from the candidates rois (R, 4) of one image of num_images in the minibatch.

    gt_boxes: (G, 5), x1, y1, x2, y2, class, in the same pixels; G may be 0. With options.agnostic
    K is 2 whatever num_classes says.
    """
    max_overlaps, nearest = nearest_boxes(rois, gt_boxes[:, :4])
    low, high = options.bg_thresh
    # without objects all overlaps are 0, and BG_THRESH_LO would leave nothing to train on
    keep, num_fg = sample_rois(max_overlaps, rois_per_image(options.batch_size, num_images),
                               options.fg_fraction, options.fg_thresh,
                               (low if len(gt_boxes) else 0, high))
    labels, targets = roi_targets(rois[keep], gt_boxes, nearest[keep], num_fg)
    if options.normalization:
        means, stds = map(targets.new_tensor, options.normalization)
        targets = (targets - means) / stds
    targets, inside_weights = expand_targets(labels, targets, options.box_classes(num_classes),
                                             options.inside_weights, options.agnostic)
    return TrainingRois(keep, labels, targets, inside_weights, (inside_weights > 0).float())
