"""Pieces of graphs for boxes (..., 4), x1, y1, x2, y2: anchors, decoding, suppression.

Corners are inclusive pixels as everywhere in Faster R-CNN, so a box is x2 - x1 + 1 wide.
"""
import numpy as np

from caffe.export.layers.graph import FLOAT, INT64, Graph


def grid_anchors(g: Graph, feature_map: str, base_anchors: np.ndarray, stride: float) -> str:
    """(H * W * A, 4): base_anchors (A, 4) at each cell of a map (N, C, H, W); rows by cell."""
    shape, zero, one = g.op("Shape", feature_map), g.integers(0), g.integers(1)
    shifts = []
    for axis, view in ((2, (-1, 1, 1, 1)), (3, (1, -1, 1, 1))):
        cells = g.op("Range", zero, g.op("Gather", shape, g.integers(axis)), one)
        pixels = g.op("Mul", g.cast(cells, FLOAT), g.number(stride))
        pattern = [0.0, 1, 0, 1] if axis == 2 else [1.0, 0, 1, 0]
        shifts.append(g.op("Mul", g.reshape(pixels, view), g.constant(pattern)))
    at_x = g.op("Add", g.constant(base_anchors.astype(np.float32)), shifts[1])
    return g.reshape(g.op("Add", at_x, shifts[0]), (-1, 4))


def corners(g: Graph, boxes: str) -> list[str]:
    """x1, y1, x2, y2, each (..., 1)."""
    return g.op("Split", boxes, g.integers([1, 1, 1, 1]), outputs=4, axis=-1)


def sizes(g: Graph, boxes: str, last_pixel: float = 1) -> tuple[str, str]:
    """Widths and heights (..., 1). last_pixel: what is added to the difference of the corners."""
    x1, y1, x2, y2 = corners(g, boxes)
    width, height = g.op("Sub", x2, x1), g.op("Sub", y2, y1)
    if not last_pixel:
        return width, height
    return g.op("Add", width, g.number(last_pixel)), g.op("Add", height, g.number(last_pixel))


def decode(g: Graph, boxes: str, deltas: str, max_log_scale: float = 0,
           last_pixel: float = 1) -> str:
    """Boxes moved by deltas (..., 4): dx, dy in sizes, dw, dh logarithms; shapes broadcast."""
    widths, heights = sizes(g, boxes, last_pixel)
    x1, y1, _, _ = corners(g, boxes)
    dx, dy, dw, dh = g.op("Split", deltas, g.integers([1, 1, 1, 1]), outputs=4, axis=-1)
    half, low, high = g.number(0.5), [], []
    for first, size, shift, growth in ((x1, widths, dx, dw), (y1, heights, dy, dh)):
        centre = g.op("Add", first, g.op("Mul", half, size))
        centre = g.op("Add", g.op("Mul", shift, size), centre)
        if max_log_scale > 0:
            growth = g.op("Min", growth, g.number(max_log_scale))
        side = g.op("Mul", g.op("Mul", half, g.op("Exp", growth)), size)
        low.append(g.op("Sub", centre, side))
        high.append(g.op("Add", centre, side))
    return g.op("Concat", *low, *high, axis=-1)


def clip(g: Graph, boxes: str, height_and_width: str) -> str:
    """Boxes (..., 4) limited to an image. height_and_width: float32 (2,)."""
    last = g.op("Sub", height_and_width, g.number(1))
    last = g.op("Gather", last, g.integers([1, 0, 1, 0]))
    return g.op("Max", g.op("Min", boxes, last), g.number(0))


def suppress(g: Graph, boxes: str, scores: str, threshold: float, inclusive: bool = True,
             max_keep: str | None = None, score_above: float | None = None,
             last_pixel: float = 1) -> str:
    """Greedy suppression: (K, 3) int64, index of the batch, of the class and of the box.

    boxes: (B, N, 4); scores: (B, C, N), which suppress separately; best first where B = C = 1.
    inclusive: suppress at an overlap >= threshold, not only above; max_keep: the most boxes per
    class, int64 (1,); score_above: only boxes of larger scores.
    """
    shifted = boxes
    if last_pixel:      # ONNX takes corners as points: the far one moves behind the last pixel
        shifted = g.op("Add", boxes, g.constant([0.0, 0, last_pixel, last_pixel]))
    limit = max_keep or g.size(boxes, 1)
    inputs = [shifted, scores, limit, g.constant([_above(threshold, inclusive)])]
    if score_above is not None:
        inputs.append(g.constant([float(score_above)]))
    return g.op("NonMaxSuppression", *inputs)


def _above(threshold: float, inclusive: bool) -> np.float32:
    """The float32 number for ONNX's `>` that decides as `>=` (or `>`) does with `threshold`."""
    nearest = np.float32(threshold)
    if not inclusive:
        return nearest
    first = nearest if float(nearest) >= threshold else np.nextafter(nearest, np.float32(np.inf))
    return np.nextafter(first, np.float32(-np.inf))


def column(g: Graph, values: str, index: int) -> str:
    """A column of (N, C) as (N,)."""
    return g.op("Gather", values, g.integers(index), axis=1)


def true_places(g: Graph, mask: str) -> str:
    """The indices (K,) at which a mask (N,) is true."""
    return g.reshape(g.op("NonZero", mask), (-1,))


def best(g: Graph, scores: str, limit: int) -> list[str]:
    """The `limit` largest of scores (N,), or all of them (0): values, indices, best first; of
    equal ones the first."""
    count = g.op("Shape", scores)
    if limit > 0:
        count = g.op("Min", count, g.integers([limit]))
    values, order = g.op("TopK", scores, count, outputs=2, axis=0)
    return [values, _first_of_equals(g, values, order, g.op("Shape", scores))]


def _first_of_equals(g: Graph, values: str, order: str, length: str) -> str:
    """The indices `order` (N,) of sorted values, those of equal values in ascending order.

    length: above the largest index. ONNX's TopK has them so already, but OpenVINO reads it as one
    that may leave equal values in any order.
    """
    zero, one = g.integers([0]), g.integers([1])
    before = g.op("Concat", g.op("Slice", values, zero, one),
                  g.op("Slice", values, zero, g.integers([-1])), axis=0)
    group = g.op("CumSum", g.cast(g.op("Not", g.op("Equal", values, before)), INT64),
                 g.integers(0))
    keys = g.op("Add", g.op("Mul", group, length), order)
    _, places = g.op("TopK", keys, g.op("Shape", keys), outputs=2, axis=0, largest=0)
    return g.op("Gather", order, places)


def with_image_index(g: Graph, boxes: str) -> str:
    """Boxes (R, 4) of the first image as rois (R, 5)."""
    first = g.op("Mul", g.cut(boxes, 0, 1, 1), g.number(0))
    return g.op("Concat", first, boxes, axis=1)


def to_index(g: Graph, values: str) -> str:
    """Numbers as int64."""
    return g.cast(values, INT64)
