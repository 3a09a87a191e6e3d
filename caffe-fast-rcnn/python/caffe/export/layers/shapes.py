"""ONNX nodes of the layers that rearrange, reduce or generate values."""
from caffe.export.layers.scope import Scope
from caffe.export.layers.values import affine

_REDUCTIONS = {"ASUM": "ReduceL1", "SUMSQ": "ReduceSumSquare", "MEAN": "ReduceMean"}


def reshape(scope: Scope, x: str) -> str:
    """Fixed sizes are those that the net has now; of free ones ONNX copies and infers as Caffe."""
    if not scope.is_free:
        return scope.reshape(x, scope.top_shapes[0])
    module, axes = scope.module, len(scope.bottom_shapes[0])
    start = module.axis if module.axis >= 0 else axes + module.axis + 1
    end = axes if module.num_axes == -1 else start + module.num_axes
    # ONNX copies an axis of the same place only
    if end < axes and end != start + len(module.dims):
        scope.fixed("a Reshape that moves the last axes")
    return scope.reshape(x, [*[0] * start, *module.dims, *[0] * (axes - end)])


def flatten(scope: Scope, x: str) -> str:
    shape = scope.bottom_shapes[0]
    p = scope.module.p
    start, end = p.axis % len(shape), p.end_axis % len(shape)
    if not scope.is_free:
        return scope.reshape(x, scope.top_shapes[0])
    if end < len(shape) - 1 and end > start:
        scope.fixed("a Flatten that moves the last axes")
    if start == 1:
        return scope.op("Flatten", x) if end > 1 else x
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
    module = scope.module
    if module.top_k != 1 or module.values or module.axis is None:
        raise scope.error("ArgMax with top_k, with out_max_val or without axis")
    index = scope.op("ArgMax", x, axis=module.axis, keepdims=1, select_last_index=1)
    return scope.op("Cast", index, to=1)     # 1: float


def constants(scope: Scope) -> list[str]:
    """Parameter, and DummyData whose values never change."""
    if any(tensor is None for tensor in scope.module.initial_tops()):
        raise scope.error("a random filler")
    return [scope.constant(tensor.cpu().numpy(), f"top{i}")
            for i, tensor in enumerate(scope.module.initial_tops())]


def silence(_scope: Scope, *_bottoms: str) -> list[str]:
    return []
