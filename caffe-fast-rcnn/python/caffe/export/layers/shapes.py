"""ONNX nodes of the layers that rearrange, reduce or generate values."""
import numpy as np

from caffe.export.layers.scope import Scope
from caffe.export.layers.values import affine

_REDUCTIONS = {"ASUM": "ReduceL1", "SUMSQ": "ReduceSumSquare", "MEAN": "ReduceMean"}


def reshape(scope: Scope, x: str) -> str:
    """ONNX copies and infers as Caffe, also numbers of rois that are known at run time only."""
    module, axes = scope.module, len(scope.bottom_shapes[0])
    start = module.axis if module.axis >= 0 else axes + module.axis + 1
    end = axes if module.num_axes == -1 else start + module.num_axes
    # ONNX copies an axis of the same place only
    if end < axes and end != start + len(module.dims):
        scope.fixed("a Reshape that moves the last axes")
        return scope.reshape(x, scope.top_shapes[0])
    return scope.reshape(x, [*[0] * start, *module.dims, *[0] * (axes - end)])


def flatten(scope: Scope, x: str) -> str:
    shape = scope.bottom_shapes[0]
    p = scope.module.p
    start, end = p.axis % len(shape), p.end_axis % len(shape)
    if start == end:
        return x
    if end < len(shape) - 1:
        scope.fixed("a Flatten that moves the last axes")
        return scope.reshape(x, [*[0] * start, -1, *shape[end + 1:]])
    if start == 1:
        return scope.op("Flatten", x)
    return scope.reshape(x, [*[0] * start, -1])


def concat(scope: Scope, *bottoms: str) -> str:
    return scope.op("Concat", *bottoms, axis=scope.module.axis)


def slices(scope: Scope, x: str) -> str | list[str]:
    axis, count = scope.module.axis, len(scope.top_shapes)
    if count == 1:
        return x
    if axis != 1:
        scope.fixed(f"a Slice along axis {axis}")
    sizes = scope.integers([shape[axis] for shape in scope.top_shapes])
    return scope.op("Split", x, sizes, outputs=count, axis=axis)


def split(scope: Scope, x: str) -> list[str]:
    return [x] * len(scope.top_shapes)


def crop(scope: Scope, x: str, like: str) -> str:
    first, offsets = scope.module.axis, list(scope.module.offset)
    axes = list(range(first, first + len(offsets)))
    starts = scope.integers(offsets)
    if scope.is_free:
        sizes = scope.op("Gather", scope.op("Shape", like), scope.integers(axes))
        ends = scope.op("Add", sizes, starts)
    else:
        sizes = scope.top_shapes[0][first:]
        ends = scope.integers([offset + size for offset, size in zip(offsets, sizes)])
    return scope.op("Slice", x, starts, ends, scope.integers(axes))


def tile(scope: Scope, x: str) -> str:
    repeats = [1] * len(scope.bottom_shapes[0])
    repeats[scope.module.axis] = scope.module.tiles
    return scope.op("Tile", x, scope.integers(repeats))


def permute(scope: Scope, x: str) -> str:
    return scope.op("Transpose", x, perm=scope.module.order)


def shuffle_channel(scope: Scope, x: str) -> str:
    channels, group = scope.bottom_shapes[0][1], scope.module.group
    dealt = scope.reshape(x, (0, group, channels // group, -1))
    return scope.op("Reshape", scope.op("Transpose", dealt, perm=(0, 2, 1, 3)),
                    scope.op("Shape", x))


def batch_reindex(scope: Scope, x: str, index: str) -> str:
    return scope.op("Gather", x, scope.op("Cast", index, to=7))     # 7: int64


def reduction(scope: Scope, x: str) -> str:
    module, p = scope.module, scope.layer.param.reduction_param
    kind = _REDUCTIONS.get(p.ReductionOp.Name(p.operation), "ReduceSum")
    axes = range(module.axis, len(scope.bottom_shapes[0]))
    return affine(scope, scope.reduce(kind, x, axes, keepdims=False), module.coeff, 0)


def arg_max(scope: Scope, x: str) -> str:
    """Along an axis, or over all values of an item; of equal values the last comes first."""
    module, axes = scope.module, len(scope.bottom_shapes[0])
    if module.axis is not None:
        index, best = _largest(scope, x, module.axis)
        return best if module.values else index
    tops = _largest(scope, scope.op("Flatten", x, axis=1), 1)[:1 + module.values]
    top = scope.op("Concat", *(scope.op("Unsqueeze", value, scope.integers([1])) for value in tops),
                   axis=1)
    return scope.reshape(top, [0, 0, 0, *[1] * (axes - 3)]) if axes > 3 else top


def _largest(scope: Scope, x: str, axis: int) -> tuple[str, str]:
    """Indices (float32) and values of the top_k largest along an axis, found from its end."""
    before = -(1 << 31)     # the first entry is the last one looked at
    turned = scope.op("Slice", x, *(scope.integers([n]) for n in (-1, before, axis, -1)))
    best, place = scope.op("TopK", turned, scope.integers([scope.module.top_k]), outputs=2,
                           axis=axis)
    last = scope.op("Sub", scope.size(x, axis), scope.integers([1]))
    return scope.op("Cast", scope.op("Sub", last, place), to=1), best       # 1: float


def constants(scope: Scope) -> list[str]:
    """Parameter, and DummyData whose values never change."""
    if any(tensor is None for tensor in scope.module.initial_tops()):
        raise scope.error("a random filler")
    return [scope.constant(tensor.cpu().numpy(), f"top{i}")
            for i, tensor in enumerate(scope.module.initial_tops())]


def silence(_scope: Scope, *_bottoms: str) -> list[str]:
    return []


def filtered(scope: Scope, *bottoms: str) -> list[str]:
    """Filter: the items whose selector, the last bottom, is not 0."""
    places = scope.reshape(scope.op("NonZero", scope.reshape(bottoms[-1], (-1,))), (-1,))
    return [scope.op("Gather", x, places) for x in bottoms[:-1]]


def reverse(scope: Scope, x: str) -> str:
    before = -(1 << 31)     # the first entry is the last of the top
    return scope.op("Slice", x, *(scope.integers([n]) for n in (-1, before, scope.module.axis, -1)))


def interp(scope: Scope, x: str, *like: str) -> str:
    """Bilinear, corners aligned; the pads cut first."""
    p = scope.module.p
    if p.pad_beg or p.pad_end:
        end = p.pad_end or 1 << 31
        x = scope.op("Slice", x, *(scope.integers(values) for values in (
            [-p.pad_beg] * 2, [end] * 2, [2, 3])))
    size = _interp_size(scope, x, *like) if scope.is_free else \
        scope.integers(scope.top_shapes[0][2:])
    sizes = scope.op("Concat", _axes(scope, x, 0, 2), size, axis=0)
    return scope.op("Resize", x, "", "", sizes, mode="linear",
                    coordinate_transformation_mode="align_corners")


def _interp_size(scope: Scope, x: str, *like: str) -> str:
    """Height and width of the top, int64 (2,); as Interp._size."""
    p, one = scope.module.p, scope.integers([1])
    given = [p.HasField(field) for field in ("zoom_factor", "shrink_factor")]
    if sum(given) == 1 or (any(given) and not p.HasField("height")):
        shrunk = scope.op("Div", scope.op("Sub", _axes(scope, x, 2, 4), one),
                          scope.integers([p.shrink_factor]))
        return scope.op("Add", scope.op("Mul", shrunk, scope.integers([p.zoom_factor])), one)
    if p.HasField("height"):
        return scope.integers([p.height, p.width])
    return _axes(scope, like[0], 2, 4)


def _axes(scope: Scope, x: str, start: int, end: int) -> str:
    """The lengths of some axes, int64."""
    return scope.op("Slice", scope.op("Shape", x), scope.integers([start]), scope.integers([end]))


def upsample(scope: Scope, x: str, *indices: str) -> str:
    """Values repeated, or put back to the places that a Pooling layer gave."""
    if not indices:
        factors = [1.0, 1.0, *map(float, scope.module.scale)]
        return scope.op("Resize", x, "", scope.constant(factors), mode="nearest",
                        coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    scope.fixed("an Upsample with indices")
    items, channels, height, width = scope.top_shapes[0]
    zeros = scope.constant(np.zeros((items, channels, height * width), np.float32))
    values, places = (scope.reshape(value, (0, 0, -1)) for value in (x, indices[0]))
    top = scope.op("ScatterElements", zeros, scope.op("Cast", places, to=7), values, axis=2)
    return scope.reshape(top, (items, channels, height, width))


def reorg(scope: Scope, x: str) -> str:
    scope.fixed("a Reorg")
    step, (items, channels, height, width) = scope.module.stride, scope.bottom_shapes[0]
    fewer = channels // step ** 2
    if scope.module.reverse:
        parts, order = (items, step, step, fewer, height, width), (0, 3, 4, 1, 5, 2)
    else:
        parts = (items, fewer, height, step, width, step)
        order = (0, 3, 5, 1, 2, 4)
    return scope.reshape(scope.op("Transpose", scope.reshape(x, parts), perm=order),
                         scope.top_shapes[0])
