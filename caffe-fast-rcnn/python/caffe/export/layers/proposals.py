"""The graph of an RPN's proposals (Ren et al. 2015, section 3.3)."""
from typing import NamedTuple

import numpy as np

from caffe.export.layers import boxes
from caffe.export.layers.graph import Graph


class Anchors(NamedTuple):
    """base: (A, 4), the anchors at the first cell; stride: image pixels per cell."""

    base: np.ndarray
    stride: float


class ProposalRule(NamedTuple):
    """How proposals are chosen; limits <= 0 mean none.

    min_size: pixels of the original image; keep_small: smaller boxes only lose their score (PVANet)
    inclusive: a box goes at an overlap >= nms_thresh, not only above it
    scales: the columns of im_info that min_size is multiplied with, for widths and for heights
    """

    pre_nms_top_n: int
    post_nms_top_n: int
    nms_thresh: float
    min_size: float
    max_log_scale: float = 0
    inclusive: bool = True
    keep_small: bool = False
    scales: tuple[int, int] = (2, 2)


def propose(g: Graph, prob: str, deltas: str, im_info: str, anchors: Anchors,
            rule: ProposalRule) -> tuple[str, str]:
    """Rois (R, 5) and their scores (R,), best first, of the first image.

    prob: (1, 2 A, H, W); deltas: (1, 4 A, H, W), plain; im_info: (1, 3), height, width, scale
    """
    count = len(anchors.base)
    scores = _rows(g, g.cut(prob, count, 2 * count, 1), (-1,))
    info = g.reshape(im_info, (-1,))
    grid = boxes.grid_anchors(g, prob, anchors.base, anchors.stride)
    found = boxes.decode(g, grid, _rows(g, deltas, (-1, 4)), rule.max_log_scale)
    found = boxes.clip(g, found, g.cut(info, 0, 2, 0))
    usable = _large_enough(g, found, [g.op("Mul", g.cut(info, column, column + 1, 0),
                                           g.number(rule.min_size)) for column in rule.scales])
    if rule.keep_small:
        scores = g.op("Where", usable, scores, g.number(0))
    else:
        rows = boxes.true_places(g, usable)
        found, scores = g.op("Gather", found, rows), g.op("Gather", scores, rows)
    scores, order = boxes.best(g, scores, rule.pre_nms_top_n)
    found = g.op("Gather", found, order)
    limit = g.integers([rule.post_nms_top_n]) if rule.post_nms_top_n > 0 else None
    kept = boxes.suppress(g, g.op("Unsqueeze", found, g.integers([0])),
                          g.op("Unsqueeze", scores, g.integers([0, 1])), rule.nms_thresh,
                          rule.inclusive, limit)
    kept = boxes.column(g, kept, 2)
    return (boxes.with_image_index(g, g.op("Gather", found, kept)), g.op("Gather", scores, kept))


def _rows(g: Graph, blob: str, shape: tuple[int, ...]) -> str:
    """A blob (1, A * d, H, W) as values of all anchors, cell by cell."""
    return g.reshape(g.op("Transpose", blob, perm=(0, 2, 3, 1)), shape)


def _large_enough(g: Graph, found: str, smallest: list[str]) -> str:
    """Whether boxes (N, 4) are at least so wide and high: (N,)."""
    large = [g.op("GreaterOrEqual", side, least)
             for side, least in zip(boxes.sizes(g, found), smallest)]
    return g.reshape(g.op("And", *large), (-1,))
