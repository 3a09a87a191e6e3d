"""What the anchors of an image should learn (Ren et al. 2015, Faster R-CNN, section 3.1.2).

N anchors, G ground truth boxes; boxes are (x1, y1, x2, y2), pixels of the network's input.
"""
from typing import Any, NamedTuple

import numpy as np
import torch

from faster_rcnn.anchors.options import AnchorTargetOptions
from faster_rcnn.boxes import geometry
from faster_rcnn.boxes.sampling import draw
from faster_rcnn.boxes.transform import bbox_transform


class AnchorTargets(NamedTuple):
    """Per anchor; float32."""

    labels: torch.Tensor                    # (N, 1): 1 object, 0 background, -1 not trained
    bbox_targets: torch.Tensor              # (N, 4)
    bbox_inside_weights: torch.Tensor       # (N, 4)
    bbox_outside_weights: torch.Tensor      # (N, 4)


class NoAnchorInside(Exception):
    """No anchor lies inside the image and its allowed border."""


def anchor_targets(anchors: torch.Tensor, gt_boxes: torch.Tensor, im_size: Any,
                   options: AnchorTargetOptions, rng: Any = np.random) -> AnchorTargets:
    """Labels a sample of the anchors and encodes the boxes that they should become.

    anchors: (N, 4) tensor; gt_boxes: (G, 4) tensor, G may be 0 (all anchors are background);
    im_size: (height, width), a tensor on the same device or numbers; rng: random generator that
    draws the sample. Raises NoAnchorInside.
    Anchors that tie exactly for a box's best overlap are all positive, even if it is 0.
    """
    inside = _inside_image(anchors, im_size, options.allowed_border)
    max_overlaps, nearest, is_best = _match(anchors, gt_boxes, inside)
    labels = _labels(max_overlaps, is_best, inside, options)
    # the only wait for the device
    num_fg, num_bg, num_inside = torch.stack([(labels == 1).sum(), (labels == 0).sum(),
                                              inside.sum()]).tolist()
    if not num_inside:
        raise NoAnchorInside
    num_fg, num_bg = _subsample(labels, num_fg, num_bg, options, rng)

    if len(gt_boxes):
        bbox_targets = bbox_transform(anchors, gt_boxes.to(anchors.dtype)[nearest])
        if options.normalization:
            means, stds = map(bbox_targets.new_tensor, options.normalization)
            bbox_targets = (bbox_targets - means) / stds
        bbox_targets = torch.where(inside[:, None], bbox_targets, 0).float()
    else:
        bbox_targets = torch.zeros_like(anchors, dtype=torch.float32)
    is_fg = (labels == 1)[:, None]
    inside_weights = torch.where(is_fg, bbox_targets.new_tensor(options.inside_weights), 0)
    fg_weight, bg_weight = _example_weights(num_fg, num_bg, options.positive_weight)
    is_bg = (labels == 0)[:, None]
    outside_weights = torch.where(is_fg, fg_weight, torch.where(is_bg, bg_weight, 0.0))
    return AnchorTargets(labels[:, None], bbox_targets, inside_weights,
                         outside_weights.float().expand(-1, 4))


def _inside_image(anchors: torch.Tensor, im_size: Any, border: float) -> torch.Tensor:
    """(N,) bool: the anchor reaches at most `border` pixels beyond the image."""
    return ((anchors[:, 0] >= -border) & (anchors[:, 1] >= -border)
            & (anchors[:, 2] < im_size[1] + border) & (anchors[:, 3] < im_size[0] + border))


def _match(anchors: torch.Tensor, gt_boxes: torch.Tensor,
           inside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Best overlap of each anchor (N,), the index of that box (the first of equals), and whether
    the anchor is the best one (or one of equals) of some box. Anchors outside match nothing."""
    if not len(gt_boxes):
        nothing = anchors.new_zeros(len(anchors))
        return nothing, nothing.long(), nothing.bool()
    overlaps = geometry.overlaps(anchors, gt_boxes.to(anchors.dtype))       # (N, G)
    overlaps.masked_fill_(~inside[:, None], -1)
    max_overlaps, nearest = overlaps.max(1)
    is_best = (overlaps == overlaps.max(0).values).any(1) & inside
    return max_overlaps, nearest, is_best


def _labels(max_overlaps: torch.Tensor, is_best: torch.Tensor, inside: torch.Tensor,
            options: AnchorTargetOptions) -> torch.Tensor:
    positive = is_best | (max_overlaps >= options.positive_overlap)
    negative = max_overlaps < options.negative_overlap
    if options.clobber_positives:
        positive = positive & ~negative
    labels = torch.where(positive, 1.0, torch.where(negative, 0.0, -1.0))
    return torch.where(inside, labels, -1.0)


def _subsample(labels: torch.Tensor, num_fg: int, num_bg: int, options: AnchorTargetOptions,
               rng: Any) -> tuple[int, int]:
    """Sets labels to -1, in place, where there are too many positives, then too many negatives;
    returns the numbers of those left."""
    fg_wanted = int(options.fg_fraction * options.batch_size)
    for label, count in ((1, num_fg), (0, num_bg)):
        wanted = fg_wanted if label else options.batch_size - min(num_fg, fg_wanted)
        if count > wanted:
            labels[draw(labels == label, count, count - wanted, rng)] = -1
    num_fg = min(num_fg, fg_wanted)
    return num_fg, min(num_bg, options.batch_size - num_fg)


def _example_weights(num_fg: int, num_bg: int, positive_weight: float) -> tuple[float, float]:
    """Weights of a positive and of a negative anchor in the regression loss."""
    if positive_weight < 0:
        return (1.0 / max(num_fg + num_bg, 1),) * 2
    return positive_weight / max(num_fg, 1), (1.0 - positive_weight) / max(num_bg, 1)
