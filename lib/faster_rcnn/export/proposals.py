"""The graph of the layer that turns the RPN's output into rois."""
from collections.abc import Sequence

from caffe.export.layers.graph import Graph
from caffe.export.layers.proposals import Anchors, ProposalRule, propose
from faster_rcnn.anchors.grid import AnchorGrid
from faster_rcnn.anchors.options import ProposalOptions


def proposal_nodes(g: Graph, bottoms: Sequence[str], grid: AnchorGrid,
                   options: ProposalOptions) -> list[str]:
    """Rois (R, 5) and scores (R, 1) from a ProposalLayer's bottoms in a test net."""
    rule = ProposalRule(options.pre_nms_top_n, options.post_nms_top_n, options.nms_thresh,
                        options.min_size, options.max_log_scale)
    anchors = Anchors(grid.base_anchors.numpy(), grid.feat_stride)
    rois, scores = propose(g, bottoms[0], bottoms[1], bottoms[2], anchors, rule)
    return [rois, g.op("Unsqueeze", scores, g.integers([1]))]
