"""The rois of an exported detector: made by the net's RPN, or given with the picture."""
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caffe.export.layers.graph import DOUBLE, FLOAT, INT64, Graph
from caffe.export.layers.proposals import Anchors, ProposalRule, propose
from faster_rcnn.anchors.grid import AnchorGrid
from faster_rcnn.anchors.options import ProposalOptions
from faster_rcnn.export.options import ExportOptions


@dataclass(frozen=True)
class Rois:
    """rois: (R, 5), what the net is fed; boxes: (Q, 4), in pixels of the picture; inverse: (Q,),
    the roi of each box, None where they are the same."""

    rois: str
    boxes: str
    inverse: str | None = None

    def spread(self, g: Graph, values: str) -> str:
        """Values (R, ...) of the rois as those of the boxes (Q, ...)."""
        return values if self.inverse is None else g.op("Gather", values, self.inverse)


def made_rois(g: Graph, rois: str, scale: str) -> Rois:
    """Rois (R, 5) that the net makes, of a picture scaled by `scale` (1,)."""
    rois = g.reshape(rois, (-1, 5))
    return Rois(rois, g.op("Div", g.cut(rois, 1, 5, 1), scale))


def fed_rois(g: Graph, options: ExportOptions, scale: str) -> Rois:
    """Rois for a net that makes none.

    From the input `proposals`, in pixels of the picture; of those that are equal on the coarse grid
    of DEDUP_BOXES all take the place of the first (detection/inputs.py: unique_rois). Where the
    file does not prepare the picture, from the input `rois` as they are; im_scale is then 1.
    """
    if not options.prepares_image:
        return Rois("rois", g.op("Div", g.cut("rois", 1, 5, 1), scale))
    scaled = g.cast(g.op("Mul", g.cast("proposals", DOUBLE), g.cast(scale, DOUBLE)), FLOAT)
    first = g.op("Mul", g.cut(scaled, 0, 1, 1), g.number(0))
    rois = g.op("Concat", first, scaled, axis=1)
    step = options.test.dedup_boxes
    if step <= 0:
        return Rois(rois, "proposals")
    places = g.cast(g.op("Round", g.op("Mul", rois, g.constant(np.float32(step)))), INT64)
    _, index, inverse, _ = g.op("Unique", places, outputs=4, axis=0)
    return Rois(g.op("Gather", rois, index),
                g.op("Gather", "proposals", g.op("Gather", index, inverse)), inverse)


def proposal_nodes(g: Graph, bottoms: Sequence[str], grid: AnchorGrid,
                   options: ProposalOptions) -> list[str]:
    """Rois (R, 5) and scores (R, 1) from a ProposalLayer's bottoms in a test net."""
    rule = ProposalRule(options.pre_nms_top_n, options.post_nms_top_n, options.nms_thresh,
                        options.min_size, options.max_log_scale)
    anchors = Anchors(grid.base_anchors.numpy(), grid.feat_stride)
    rois, scores = propose(g, bottoms[0], bottoms[1], bottoms[2], anchors, rule)
    return [rois, g.op("Unsqueeze", scores, g.integers([1]))]
