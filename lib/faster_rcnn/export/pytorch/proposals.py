"""The layer that turns the RPN's output into rois, in PyTorch source."""
from collections.abc import Sequence

from caffe.export.source.scope import Scope, Several
from faster_rcnn.anchors.grid import AnchorGrid
from faster_rcnn.anchors.options import ProposalOptions


def proposal_source(scope: Scope, bottoms: Sequence[str], grid: AnchorGrid,
                    options: ProposalOptions) -> Several:
    """Rois (R, 5) and scores (R, 1) from a ProposalLayer's bottoms in a test net: a call of the
    piece `propose`.
    """
    anchors = scope.values("anchors", grid.base_anchors.tolist())
    words = [*bottoms, anchors, f"stride={grid.feat_stride}", f"before={options.pre_nms_top_n}",
             f"after={options.post_nms_top_n}", f"overlap={options.nms_thresh}",
             f"smallest={options.min_size}", f"largest_log={options.max_log_scale}"]
    return Several(f"{scope.piece('propose')}({', '.join(words)})")
