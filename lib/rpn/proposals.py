"""From scores and deltas of anchors to proposals (Ren et al. 2015, Faster R-CNN, section 3.3)."""
from typing import NamedTuple

import torch

from caffe import ops
from fast_rcnn.bbox_transform import bbox_transform_inv, clip_boxes
from utils import boxes as geometry


class ProposalOptions(NamedTuple):
    """How proposals are chosen; the names are those of cfg.<phase>.RPN_*; limits <= 0 mean none."""

    pre_nms_top_n: int
    post_nms_top_n: int
    nms_thresh: float
    min_size: float             # pixels of the original image
    max_log_scale: float = 0.0


def propose(anchors, scores, deltas, im_info, options):
    """Decodes, clips, drops small boxes, and keeps the best ones that do not overlap much.

    anchors: (N, 4) tensor; scores: (N,), of being an object; deltas: (N, 4), of the anchors;
    im_info: (3,) tensor, height and width of the network's input and its scale.
    Returns proposals (R, 4) and their scores (R,), best first; R may be 0.
    """
    proposals = bbox_transform_inv(anchors, deltas, options.max_log_scale)
    proposals = clip_boxes(proposals, im_info)
    widths, heights = geometry.sizes(proposals)
    smallest = options.min_size * im_info[2]
    usable = ((widths >= smallest) & (heights >= smallest) & ~scores.isnan()).nonzero()[:, 0]
    scores, order = scores[usable].sort(descending=True, stable=True)
    if options.pre_nms_top_n > 0:
        scores, order = scores[:options.pre_nms_top_n], order[:options.pre_nms_top_n]
    proposals = proposals[usable[order]]
    dets = torch.cat([proposals, scores[:, None]], 1)
    max_keep = options.post_nms_top_n if options.post_nms_top_n > 0 else -1
    keep = ops.nms(dets, options.nms_thresh, max_keep=max_keep)
    return proposals[keep], scores[keep]
