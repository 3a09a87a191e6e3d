"""Online hard example mining (Shrivastava, Gupta, Girshick 2016): the rois with the largest losses.

R rois; K classes with the background.
"""
import torch

from caffe import ops


def roi_losses(cls_prob, labels, deltas=None, targets=None, inside_weights=None,
               outside_weights=None):
    """What each roi loses: minus the logarithm of its label's probability and, with deltas, the
    smooth L1 distance of its box. (R,) tensor.

    cls_prob: (R, K); labels: (R,); deltas, targets and weights: (R, 4 K)
    """
    smallest = torch.finfo(torch.float64).eps
    losses = -cls_prob.gather(1, labels.long()[:, None])[:, 0].double().clamp(min=smallest).log()
    if deltas is None:
        return losses
    size = (inside_weights * (deltas - targets)).abs()
    smooth_l1 = torch.where(size < 1, 0.5 * size.square(), size - 0.5)
    return losses + (outside_weights * smooth_l1).sum(1)


def hard_rois(losses, rois, labels, count, nms_thresh=None):
    """The `count` rows (-1: all) with the largest losses (R,), hardest first: (S,) int64 tensor.

    rois: (R, 5), image, x1, y1, x2, y2. nms_thresh: of rois of an image and label that overlap by
    more only the hardest counts; None: all count.
    """
    if nms_thresh is None:
        rows = losses.sort(descending=True, stable=True).indices
    else:
        groups = torch.stack([rois[:, 0], labels]).long().unique(dim=1, return_inverse=True)[1]
        rows = ops.batched_nms(rois[:, 1:], losses, groups, nms_thresh)
    return rows if count == -1 else rows[:count]
