"""The graph from the scores and deltas of rois to detections, as detection/ does."""
from typing import NamedTuple

from caffe.core.errors import InputError
from caffe.export.layers import boxes as pieces
from caffe.export.layers.graph import Graph
from faster_rcnn.export.assembly import Found
from faster_rcnn.export.options import ExportOptions


class Head(NamedTuple):
    """What a net has of its rois: boxes (R, 4) in pixels of the picture; scores (R, K); deltas
    (R, 4 K), None without regression; width, the number of deltas of a roi."""

    boxes: str
    scores: str
    deltas: str | None
    width: int


def class_boxes(g: Graph, head: Head, size: str, options: ExportOptions) -> tuple[str, int]:
    """Boxes (R, L, 4) of the classes but the background, and L, 1 where they share them.

    size: (2,) float32, height and width of the picture.
    """
    test, classes = options.test, len(options.classes)
    if head.deltas is None:
        return g.op("Unsqueeze", head.boxes, g.integers([1])), 1
    if test.agnostic:
        deltas, count = g.cut(g.reshape(head.deltas, (-1, head.width)), 4, 8, 1), 1
    elif head.width == 4 * classes:
        deltas, count = g.cut(g.reshape(head.deltas, (-1, head.width)), 4, head.width, 1), \
            classes - 1
    else:
        raise InputError(f"bbox_pred has {head.width} columns for {classes} classes; a net that "
                         "regresses boxes of all classes alike (8 columns) needs TEST.AGNOSTIC "
                         "True")
    deltas = g.reshape(deltas, (-1, count, 4))
    moved = pieces.decode(g, g.op("Unsqueeze", head.boxes, g.integers([1])), deltas,
                          test.max_log_scale)
    return pieces.clip(g, moved, size), count


def detections(g: Graph, head: Head, size: str, options: ExportOptions) -> Found:
    """Suppresses the boxes of each class, and keeps the best of all classes."""
    found, count = class_boxes(g, head, size, options)
    classes = len(options.classes)
    scores = g.cut(g.reshape(head.scores, (-1, classes)), 1, classes, 1)
    scores = g.op("Transpose", scores, perm=(1, 0))                     # (K - 1, R)
    by_class = g.op("Transpose", found, perm=(1, 0, 2))                 # (L, R, 4)
    batched = g.op("Unsqueeze", scores, g.integers([1 if count > 1 else 0]))
    kept = pieces.suppress(g, by_class, batched, options.test.nms, score_above=options.thresh)
    group, kind, roi = (pieces.column(g, kept, i) for i in range(3))
    label, rois = g.op("Add", group, kind), g.size(scores, 1)
    best, order = pieces.best(g, _picked(g, g.reshape(scores, (-1,)), label, roi, rois), 0)
    chosen = _picked(g, g.reshape(by_class, (-1, 4)), group, roi, rois)
    labels = g.op("Gather", g.op("Add", label, g.integers([1])), order)
    return _limited(g, Found(g.op("Gather", chosen, order), best, labels), options.max_per_image)


def _picked(g: Graph, rows: str, group: str, roi: str, rois: str) -> str:
    """The rows of rois of groups; there are `rois` rows in each group."""
    return g.op("Gather", rows, g.op("Add", g.op("Mul", group, rois), roi))


def _limited(g: Graph, found: Found, limit: int) -> Found:
    """The best ones, and those whose score equals the last of them."""
    if limit <= 0:
        return found
    last = g.op("Min", g.size(found.scores, 0), g.integers([limit]))
    lowest = g.op("Slice", found.scores, g.op("Sub", last, g.integers([1])), last, g.integers([0]))
    rows = pieces.true_places(g, g.op("GreaterOrEqual", found.scores, lowest))
    return Found(*(g.op("Gather", value, rows) for value in found))
