"""ONNX nodes of the layers that look at regions of interest, and of those that make them."""
import numpy as np

from caffe.export.layers import boxes
from caffe.export.layers.graph import FLOAT, INT64, Graph
from caffe.export.layers.proposals import Anchors, ProposalRule, propose
from caffe.export.layers.scope import Scope


def roi_pooling(scope: Scope, features: str, rois: str) -> str:
    """MaxRoiPool has Fast R-CNN's rounding and its inclusive corners."""
    return scope.op("MaxRoiPool", features, _padded(scope, rois), pooled_shape=scope.module.pooled,
                    spatial_scale=scope.module.spatial_scale)


def roi_align(scope: Scope, features: str, rois: str) -> str:
    """RoiAlign has Caffe2's samples; with `aligned` those of opset 16."""
    module = scope.module
    sampling_ratio, aligned = module.sampling
    if module.corners:
        raise scope.error("the map at the corners of the bins (corners: true)")
    options = {"output_height": module.pooled[0], "output_width": module.pooled[1],
               "spatial_scale": module.spatial_scale, "sampling_ratio": max(sampling_ratio, 0)}
    if scope.form.opset >= 16:
        options["coordinate_transformation_mode"] = ("half_pixel" if aligned else
                                                     "output_half_pixel")
    elif aligned:
        raise scope.error("aligned: true before opset 16")
    rois = _rois(scope, rois)
    return scope.op("RoiAlign", features, scope.cut(rois, 1, 5, 1),
                    scope.cast(boxes.column(scope, rois, 0), INT64), **options)


def _rois(scope: Scope, rois: str) -> str:
    """Rois as (R, 5); OpenVINO wants the five to be said."""
    known = not scope.is_free and len(scope.bottom_shapes[1]) == 2
    return rois if known else scope.reshape(rois, (-1, 5))


def _padded(scope: Scope, rois: str) -> str:
    """Rois (R, 5), larger on each side by the layer's share of their size."""
    rois, ratio = _rois(scope, rois), scope.module.pad_ratio
    if not ratio:
        return rois
    first, box = scope.cut(rois, 0, 1, 1), scope.cut(rois, 1, 5, 1)
    width, height = (scope.op("Mul", side, scope.number(ratio)) for side in boxes.sizes(scope, box))
    pads = scope.op("Concat", *(scope.op("Neg", side) for side in (width, height)), width, height,
                    axis=1)
    return scope.op("Concat", first, scope.op("Add", box, pads), axis=1)


def psroi_pooling(scope: Scope, features: str, rois: str) -> str:
    """Means over bins as two products with 0 and 1: rows of the maps, then their columns.

    One row of bins at a time, which limits the memory to R * output_dim * group * W numbers. The
    rows of all images lie below each other.
    """
    (classes, group), rois = scope.module.grid, _rois(scope, rois)
    cells = scope.op("Shape", features)
    images, height, width = (scope.op("Gather", cells, scope.integers([i])) for i in (0, 2, 3))
    rows = _of_own_image(scope, rois, _membership(scope, rois, (2, 4), height), images, height)
    columns = _membership(scope, rois, (1, 3), width)
    # (images, classes, group, group, H, W) -> (group rows, group columns, images, H, classes, W)
    by_bin = scope.op("Reshape", features, scope.op(
        "Concat", images, scope.integers([classes, group, group]), height, width, axis=0))
    by_bin = scope.op("Transpose", by_bin, perm=(2, 3, 0, 4, 1, 5))
    flat = scope.op("Concat", scope.integers([group, group]), scope.op("Mul", images, height),
                    scope.op("Mul", width, scope.integers([classes])), axis=0)
    by_bin = scope.op("Reshape", by_bin, flat)
    tops = [_row_of_bins(scope, by_bin, rows, columns, i) for i in range(group)]
    return scope.op("Concat", *tops, axis=2)


def _row_of_bins(scope: Scope, by_bin: str, rows: str, columns: str, i: int) -> str:
    """The bins of row i, (R, classes, 1, group)."""
    classes = scope.module.grid[0]
    in_rows = scope.op("Gather", rows, scope.integers(i), axis=1)           # (R, images H)
    sums = scope.op("MatMul", in_rows, scope.op("Gather", by_bin, scope.integers(i)))
    sums = scope.op("Reshape", sums, scope.op("Concat", scope.integers([0, 0, classes]),
                                              scope.size(columns, 2), axis=0))
    in_columns = scope.op("Transpose", columns, perm=(1, 0, 2))             # (group, R, W)
    in_columns = scope.op("Unsqueeze", in_columns, scope.integers([2]))
    sums = scope.reduce("ReduceSum", scope.op("Mul", sums, in_columns), [3], keepdims=False)
    cells = scope.op("Mul", scope.reduce("ReduceSum", in_rows, [1]),        # (R, 1), (R, group)
                     scope.reduce("ReduceSum", columns, [2], keepdims=False))
    cells = scope.op("Unsqueeze", scope.op("Transpose", cells, perm=(1, 0)), scope.integers([2]))
    means = scope.op("Div", sums, scope.op("Max", cells, scope.number(1)))  # (group, R, classes)
    return scope.op("Unsqueeze", scope.op("Transpose", means, perm=(1, 2, 0)), scope.integers([2]))


def _of_own_image(scope: Scope, rois: str, rows: str, images: str, height: str) -> str:
    """Rows (R, group, H) of a roi's image among those of all: (R, group, images H)."""
    group = scope.module.grid[1]
    numbers = _counted(scope, images)
    image = scope.op("Floor", scope.reshape(boxes.column(scope, rois, 0), (-1, 1)))
    own = scope.cast(scope.op("Equal", image, numbers), FLOAT)              # (R, images)
    own = scope.op("Unsqueeze", own, scope.integers([1, 3]))
    rows = scope.op("Mul", scope.op("Unsqueeze", rows, scope.integers([2])), own)
    return scope.op("Reshape", rows, scope.op("Concat", scope.integers([0, group]), scope.op(
        "Mul", images, height), axis=0))


def _counted(scope: Scope, length: str) -> str:
    """0, 1, ..., float32; length: int64 (1,)."""
    end = scope.op("Squeeze", length, scope.integers([0]))
    return scope.cast(scope.op("Range", scope.integers(0), end, scope.integers(1)), FLOAT)


def _membership(scope: Scope, rois: str, corners: tuple[int, int], length: str) -> str:
    """(R, group, cells): 1 where a bin of one side of the rois holds a cell of the map, else 0.

    R-FCN: corners are rounded half away from zero, and a roi is a tenth of a cell long at least.
    """
    group, scale = scope.module.grid[1], scope.number(scope.module.spatial_scale)
    first, last = (_rounded(scope, boxes.column(scope, rois, index)) for index in corners)
    start = scope.op("Mul", first, scale)
    end = scope.op("Mul", scope.op("Add", last, scope.number(1)), scale)
    size = scope.op("Max", scope.op("Sub", end, start), scope.number(0.1))
    step, start = (scope.op("Unsqueeze", value, scope.integers([1, 2]))
                   for value in (_divided(scope, size, group), start))
    begin, end = (_edge(scope, step, start, n) for n in (0, 1))
    begin, end = scope.op("Floor", begin), scope.op("Ceil", end)
    cell = _counted(scope, length)
    inside = scope.op("And", scope.op("GreaterOrEqual", cell, begin), scope.op("Less", cell, end))
    return scope.cast(inside, FLOAT)


def _divided(g: Graph, values: str, number: int) -> str:
    """Values below 2^16 by a number below 2^8, rounded as float32 is.

    OpenVINO multiplies by the inverse, which may be wrong in the last bit, and an edge that lies on
    a cell would fall beyond it. What the quotient, in two parts whose products are exact, leaves
    over is added.
    """
    count, share = g.number(number), g.number(2.0 ** -8)
    quotient = g.op("Div", values, count)
    high = g.op("Mul", g.op("Floor", g.op("Mul", quotient, g.number(2.0 ** 8))), share)
    rest = g.op("Sub", values, g.op("Mul", high, count))
    rest = g.op("Sub", rest, g.op("Mul", g.op("Sub", quotient, high), count))
    return g.op("Add", quotient, g.op("Div", rest, count))


def _edge(scope: Scope, step: str, start: str, first: int) -> str:
    """Where the bins first, ..., first + group - 1 begin: (R, group, 1)."""
    numbers = np.arange(first, first + scope.module.grid[1], dtype=np.float32)[:, None]
    return scope.op("Add", scope.op("Mul", step, scope.constant(numbers)), start)


def _rounded(g: Graph, values: str) -> str:
    """C's round(): halves away from zero."""
    up = g.op("Floor", g.op("Add", g.op("Abs", values), g.number(0.5)))
    return g.op("Mul", g.op("Sign", values), up)


def proposal(scope: Scope, prob: str, deltas: str, im_info: str) -> list[str]:
    """PVANet's layer."""
    module, p = scope.module, scope.module.p
    scales = (3, 2) if scope.bottom_shapes[2][-1] > 3 else (2, 2)
    rule = ProposalRule(p.pre_nms_topn, p.post_nms_topn, p.nms_thresh, p.min_size,
                        inclusive=False, keep_small=True, scales=scales)
    anchors = Anchors(module.anchors.cpu().numpy(), p.feat_stride)
    return list(propose(scope, prob, deltas, im_info, anchors, rule))[:len(scope.top_shapes)]
