"""Which rois make a training minibatch, and what each of them should learn.

Shared by ProposalTargetLayer (rois of the same net) and the data layer (rois of a roidb).
Random numbers are drawn on the host as positions among the candidates, foreground first, so that
equal seeds give equal minibatches on every device; the order is that of py-faster-rcnn.
"""
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from caffe.core.errors import InputError
from faster_rcnn.boxes import geometry
from faster_rcnn.boxes.geometry import Array
from faster_rcnn.boxes.transform import bbox_transform


def rois_per_image(batch_size: int, num_images: int) -> int:
    """The number of rois of each image in a minibatch; -1, all rois, stays -1.

    ValueError when batch_size is not a multiple of num_images.
    """
    if batch_size == -1:
        return -1
    if batch_size < 1 or batch_size % num_images:
        raise InputError(f"TRAIN.BATCH_SIZE {batch_size} cannot be shared evenly by {num_images} "
                         "images (TRAIN.IMS_PER_BATCH)")
    return batch_size // num_images


def sample_rois(max_overlaps: torch.Tensor, batch_size: int, fg_fraction: float, fg_thresh: float,
                bg_range: tuple[float, float], rng: Any = np.random) -> tuple[torch.Tensor, int]:
    """Draws foreground and background rois.

    max_overlaps: (R,) tensor, best overlap of each roi with a ground truth box
    batch_size:   rois wanted; fg_fraction of them (rounded) foreground at most; -1: all
    fg_thresh:    foreground: overlap >= fg_thresh
    bg_range:     (low, high), background: overlap in [low, high)
    rng:          random generator, numpy.random or a RandomState
    Returns the indices of the rois drawn, (S,) int64 tensor on the same device, foreground first,
    and the number of foreground rois. Where foreground is missing more background is drawn; where
    background is missing there are fewer rois.
    """
    is_fg = max_overlaps >= fg_thresh
    is_bg = (max_overlaps < bg_range[1]) & (max_overlaps >= bg_range[0])
    num_fg, num_bg = torch.stack([is_fg.sum(), is_bg.sum()]).tolist()
    fg_wanted, bg_wanted = num_fg, num_bg
    if batch_size != -1:
        fg_wanted = min(int(np.round(fg_fraction * batch_size)), num_fg)
        bg_wanted = min(batch_size - fg_wanted, num_bg)
    keep = torch.cat([draw(is_fg, num_fg, fg_wanted, rng), draw(is_bg, num_bg, bg_wanted, rng)])
    return keep, fg_wanted


def draw(mask: torch.Tensor, count: int, wanted: int, rng: Any = np.random) -> torch.Tensor:
    """`wanted` of the `count` indices where the tensor `mask` (R,) is true, in random order: int64.

    Draws whenever there are candidates, even to take all of them; py-faster-rcnn: minibatch.py.
    """
    if not count:
        return torch.empty(0, dtype=torch.int64, device=mask.device)
    positions = torch.from_numpy(rng.choice(count, size=wanted, replace=False))
    candidates = torch.nonzero_static(mask, size=count)[:, 0]   # of known size: no wait for CUDA
    return candidates[positions.to(mask.device)]


def nearest_boxes(rois: torch.Tensor, gt_boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Best overlap of each roi (R, 4) with gt_boxes (G, 4), in double precision, and the index of
    that box, the first of equals: (R,) each; zeros when there are no boxes."""
    if not len(gt_boxes):
        return rois.new_zeros(len(rois)), rois.new_zeros(len(rois), dtype=torch.int64)
    max_overlaps, nearest = geometry.overlaps(rois.double(), gt_boxes.double()).max(1)
    return max_overlaps, nearest


def roi_targets(rois: torch.Tensor, gt_boxes: torch.Tensor, nearest: torch.Tensor,
                num_fg: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels (S,) and regression targets (S, 4) of rois (S, 4); the first num_fg are foreground.

    gt_boxes: (G, 5), x1, y1, x2, y2, class; nearest: (S,), the index of each roi's box.
    """
    if not len(gt_boxes):
        return rois.new_zeros(len(rois)), torch.zeros_like(rois)
    matched = gt_boxes[nearest]
    is_fg = torch.arange(len(rois), device=rois.device) < num_fg
    return torch.where(is_fg, matched[:, 4], 0), bbox_transform(rois, matched[:, :4])


def with_four_axes(blob: Array) -> Array:
    """A view of a blob of rois, (S,) or (S, d), as (S, 1, 1, 1) or (S, d, 1, 1), as R-FCN's losses
    expect it."""
    return blob.reshape(*blob.shape, *(1,) * (4 - blob.ndim))


def expand_targets(labels: torch.Tensor, targets: torch.Tensor, num_classes: int,
                   inside_weights: Sequence[float],
                   agnostic: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Regression targets in the four columns of each roi's class.

    labels: (S,) tensor, 0 for background; targets: (S, 4) tensor; inside_weights: 4 numbers;
    agnostic: every class but the background counts as class 1.
    Returns bbox_targets and bbox_inside_weights, (S, 4 * num_classes) each: zeros but for the
    columns of a roi's class, unless that is the background.
    """
    if agnostic:
        labels = (labels > 0).to(labels.dtype)
    classes = torch.arange(num_classes, device=labels.device)
    active = ((classes == labels[:, None]) & (labels[:, None] > 0))[:, :, None]     # (S, K, 1)
    weights = targets.new_tensor(inside_weights)
    return (torch.where(active, targets[:, None, :], 0).flatten(1),
            torch.where(active, weights, 0).flatten(1))
