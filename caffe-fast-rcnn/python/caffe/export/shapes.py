"""ONNX nodes of the layers that rearrange, reduce or generate values."""
import math

from caffe.export.scope import Scope
from caffe.export.values import affine

_REDUCTIONS = {"ASUM": "ReduceL1", "SUMSQ": "ReduceSumSquare", "MEAN": "ReduceMean"}


def fixed_reshape(scope: Scope, x: str) -> str:
    """Reshape and Flatten: the sizes are those that the net has now."""
    return scope.reshape(x, scope.top_shapes[0])


def concat(scope: Scope, *bottoms: str) -> str:
    return scope.op("Concat", *bottoms, axis=scope.module.axis)


def slices(scope: Scope, x: str) -> str | list[str]:
    axis, count = scope.module.axis, len(scope.top_shapes)
    if count == 1:
        return x
    sizes = scope.integers([shape[axis] for shape in scope.top_shapes])
    return scope.op("Split", x, sizes, outputs=count, axis=axis)


def split(scope: Scope, x: str) -> list[str]:
    return [x] * len(scope.top_shapes)


def crop(scope: Scope, x: str, _like: str) -> str:
    first, offsets = scope.module.axis, scope.module.offset
    sizes = scope.top_shapes[0][first:]
    ends = [offset + size for offset, size in zip(offsets, sizes)]
    axes = range(first, first + len(sizes))
    return scope.op("Slice", x, *(scope.integers(list(v)) for v in (offsets, ends, axes)))


def tile(scope: Scope, x: str) -> str:
    repeats = [1] * len(scope.bottom_shapes[0])
    repeats[scope.module.axis] = scope.module.tiles
    return scope.op("Tile", x, scope.integers(repeats))


def permute(scope: Scope, x: str) -> str:
    return scope.op("Transpose", x, perm=scope.module.order)


def shuffle_channel(scope: Scope, x: str) -> str:
    items, channels, *size = scope.bottom_shapes[0]
    group = scope.module.group
    dealt = scope.reshape(x, (items, group, channels // group, *size))
    order = (0, 2, 1, *range(3, 3 + len(size)))
    return scope.reshape(scope.op("Transpose", dealt, perm=order), scope.top_shapes[0])


def batch_reindex(scope: Scope, x: str, index: str) -> str:
    return scope.op("Gather", x, scope.op("Cast", index, to=7))     # 7: int64


def reduction(scope: Scope, x: str) -> str:
    module, shape = scope.module, scope.bottom_shapes[0]
    p = scope.layer.param.reduction_param
    rows = scope.reshape(x, (*shape[:module.axis], math.prod(shape[module.axis:])))
    kind = _REDUCTIONS.get(p.ReductionOp.Name(p.operation), "ReduceSum")
    if kind == "ReduceSum":
        top = scope.op(kind, rows, scope.integers([module.axis]), keepdims=0)
    else:
        top = scope.op(kind, rows, axes=[module.axis], keepdims=0)
    return affine(scope, top, module.coeff, 0)


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
