"""From scores and deltas of anchors to proposals (Ren et al. 2015, Faster R-CNN, section 3.3)."""
from typing import NamedTuple

import torch

from caffe.operators import ops
from faster_rcnn.anchors.options import ProposalOptions
from faster_rcnn.boxes import geometry
from faster_rcnn.boxes.transform import bbox_transform_inv, clip_boxes


class Proposals(NamedTuple):
    """Best first; R may be 0."""

    boxes: torch.Tensor         # (R, 4)
    scores: torch.Tensor        # (R,)
    rows: torch.Tensor          # (R,) int64, index of the anchor that each was made from


def decode(anchors: torch.Tensor, deltas: torch.Tensor, im_info: torch.Tensor,
           max_log_scale: float = 0.0) -> torch.Tensor:
    """Anchors (N, 4) moved by their deltas (N, 4) and clipped to the image: (N, 4); differentiable.

    im_info: (3,) tensor, height and width of the image as network input, and its scale.
    """
    return clip_boxes(bbox_transform_inv(anchors, deltas, max_log_scale), im_info)


def propose(anchors: torch.Tensor, scores: torch.Tensor, deltas: torch.Tensor,
            im_info: torch.Tensor, options: ProposalOptions) -> Proposals:
    """Decodes, clips, drops small boxes, and keeps the best ones that do not overlap much.

    anchors, deltas (plain, not normalised), im_info: as in `decode`; scores: (N,), of being an
    object.
    """
    proposals = decode(anchors, deltas, im_info, options.max_log_scale)
    widths, heights = geometry.sizes(proposals)
    smallest = options.min_size * im_info[2]
    usable = ((widths >= smallest) & (heights >= smallest) & ~scores.isnan()).nonzero()[:, 0]
    scores, order = scores[usable].sort(descending=True, stable=True)
    if options.pre_nms_top_n > 0:
        scores, order = scores[:options.pre_nms_top_n], order[:options.pre_nms_top_n]
    rows = usable[order]
    proposals = proposals[rows]
    dets = torch.cat([proposals, scores[:, None]], 1)
    max_keep = options.post_nms_top_n if options.post_nms_top_n > 0 else -1
    keep = ops.nms(dets, options.nms_thresh, max_keep=max_keep)
    return Proposals(proposals[keep], scores[keep], rows[keep])
