"""Layers that only move values: the same values along other axes, cut, joined or repeated.

Caffe: the files named like the types. Flatten, Reshape and Split share memory with the bottom.
Permute: SSD's permute_layer.cpp; ShuffleChannel: ShuffleNet's shuffle_channel_layer.cpp.
"""
import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from caffe.layer_types.common.module import Module, Numbers, Shape, Shapes
from caffe.layer_types.common.registry import register
from caffe.proto.caffe_pb2 import ConcatParameter, LayerParameter, SliceParameter


@register("Reshape")
class Reshape(Module):
    """The bottom in a new shape: 0 copies the bottom's axis, -1 is inferred from the other axes.

    `axis` and `num_axes` limit it to some axes; a negative `axis` counts from the end, -1 being
    behind the last axis.
    """

    numbers = Numbers.OF_BOTTOM

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.reshape_param
        self.dims, self.axis, self.num_axes = tuple(p.shape.dim), p.axis, p.num_axes
        self.refuse_in_place()
        if self.dims.count(-1) > 1 or min(self.dims, default=0) < -1:
            raise self.error(f"expected at most one -1 and nothing below it, got {self.dims}")

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(self.target(tuple(x.shape)))

    def target(self, shape: Shape) -> list[int]:
        """The top's shape for a bottom's shape."""
        start = self.axis if self.axis >= 0 else len(shape) + self.axis + 1
        end = len(shape) if self.num_axes == -1 else start + self.num_axes
        if not 0 <= start <= end <= len(shape):
            raise self.error(f"expected axis {self.axis} and num_axes {self.num_axes} to lie "
                             f"inside the bottom {shape}")
        dims = [self._copied(shape, start + i) if d == 0 else d for i, d in enumerate(self.dims)]
        top = [*shape[:start], *dims, *shape[end:]]
        if -1 in top:
            top[top.index(-1)] = self._left_over(shape, [d for d in top if d != -1])
        if math.prod(top) != math.prod(shape):
            raise self.error(f"expected a shape with the {math.prod(shape)} values of the bottom "
                             f"{shape}, got {tuple(top)}")
        return top

    def _copied(self, shape: Shape, axis: int) -> int:
        if axis >= len(shape):
            raise self.error(f"expected a bottom axis {axis} for a 0 to copy, got {shape}")
        return shape[axis]

    def _left_over(self, shape: Shape, known: Sequence[int]) -> int:
        if 0 in known:  # nothing in the bottom: the axes of size 0 stand on both sides
            shape, known = tuple(d for d in shape if d), [d for d in known if d]
        count, rest = divmod(math.prod(shape), math.prod(known))
        if rest:
            raise self.error(f"expected the {math.prod(shape)} values of the bottom {tuple(shape)} "
                             f"to be a multiple of the given axes {self.dims}")
        return count


@register("Flatten")
class Flatten(Module):
    """The axes from `axis` to `end_axis` joined into one."""

    numbers = Numbers.OF_BOTTOM

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.p = param.flatten_param
        self.refuse_in_place()

    def forward(self, x: Tensor) -> Tensor:
        start = self.axis_of(x.shape, self.p.axis)
        end = self.axis_of(x.shape, self.p.end_axis, "end_axis")
        if start > end:
            raise self.error(f"expected axis <= end_axis, got {start} and {end}")
        return x.flatten(start, end)


class _Joint(Module):
    """What Concat and Slice share: `axis` with an old, unsigned spelling."""

    def joint_axis(self, p: ConcatParameter | SliceParameter, old: str, shape: Shape) -> int:
        """The axis counted from the front."""
        if not p.HasField(old):
            return self.axis_of(shape, p.axis)
        if p.HasField("axis"):
            raise self.error(f"expected axis or {old}, got both")
        return self.axis_of(shape, getattr(p, old), old)


@register("Concat")
class Concat(_Joint):
    """The bottoms concatenated along `axis`."""

    numbers = Numbers.OF_BOTTOM
    bottoms = (1, None)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.axis = self.joint_axis(param.concat_param, "concat_dim", shapes[0])

    def forward(self, *bottoms: Tensor) -> Tensor:
        first = bottoms[0].shape
        for x in bottoms[1:]:
            if len(x.shape) != len(first) or any(
                    a != b for i, (a, b) in enumerate(zip(x.shape, first)) if i != self.axis):
                raise self.error(f"expected bottoms that differ in axis {self.axis} only, got "
                                 f"{tuple(first)} and {tuple(x.shape)}")
        return torch.cat(bottoms, self.axis)


@register("Slice")
class Slice(_Joint):
    """The bottom cut along `axis`: at the slice points, or into equal parts."""

    numbers = Numbers.OF_BOTTOM
    tops = (1, None)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.axis = self.joint_axis(param.slice_param, "slice_dim", shapes[0])
        self.points = tuple(param.slice_param.slice_point)
        if self.points and len(self.points) != len(param.top) - 1:
            raise self.error(f"expected one slice_point less than the {len(param.top)} tops, got "
                             f"{len(self.points)}")

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return torch.split(x, self._sizes(x.shape[self.axis]), self.axis)

    def _sizes(self, size: int) -> list[int]:
        count = len(self.param.top)
        if not self.points:
            if size % count:
                raise self.error(f"expected axis {self.axis} to be a multiple of the {count} tops, "
                                 f"got {size}")
            return [size // count] * count
        edges = (0, *self.points, size)
        sizes = [b - a for a, b in itertools.pairwise(edges)]
        if min(sizes) < 1:
            raise self.error(f"expected rising slice points inside axis {self.axis} of size {size},"
                             f" got {self.points}")
        return sizes


@register("Split")
class Split(Module):
    """The bottom under several names, so that each has one reader; the gradients add up."""

    tops = (1, None)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(x.view_as(x) for _ in self.param.top)


@register("Crop")
class Crop(Module):
    """The part of bottom[0] with the size of bottom[1] from `axis` on, starting at the offsets."""

    numbers = Numbers.OF_BOTTOM
    bottoms = (2, 2)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.axis = self.axis_of(shapes[0], param.crop_param.axis)
        axes, offset = len(shapes[0]) - self.axis, tuple(param.crop_param.offset)
        if len(offset) not in (0, 1, axes):
            raise self.error(f"expected no offset, one, or one for each of the {axes} cropped "
                             f"axes, got {len(offset)}")
        self.offset = offset if len(offset) == axes else (offset or (0,)) * axes

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        if x.dim() != like.dim():
            raise self.error(f"expected bottoms with the same number of axes, got "
                             f"{tuple(x.shape)} and {tuple(like.shape)}")
        for axis, offset in enumerate(self.offset, self.axis):
            size = like.shape[axis]
            if offset + size > x.shape[axis]:
                raise self.error(f"expected offset + size inside axis {axis} of size "
                                 f"{x.shape[axis]}, got {offset} + {size}")
            x = x.narrow(axis, offset, size)
        return x


@register("Tile")
class Tile(Module):
    """The bottom repeated `tiles` times along `axis`."""

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.tile_param
        if p.tiles < 1:
            raise self.error(f"expected tiles > 0, got {p.tiles}")
        self.axis, self.tiles = self.axis_of(shapes[0], p.axis), p.tiles

    def forward(self, x: Tensor) -> Tensor:
        return x.repeat([self.tiles if axis == self.axis else 1 for axis in range(x.dim())])


@register("Filter")
class Filter(Module):
    """The items (first axis) of each bottom for which the selector, the last bottom, is not 0.

    The number of selected items is known in the forward pass only.
    """

    bottoms = (2, None)
    tops = (1, None)
    no_gradient = (-1,)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        if len(param.top) != len(shapes) - 1:
            raise self.error(f"expected one top per bottom but the selector, got {len(shapes)} "
                             f"bottoms and {len(param.top)} tops")

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        self._check(shapes)
        return [tuple(s) for s in shapes[:-1]]

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        self._check([x.shape for x in bottoms])
        chosen = bottoms[-1].flatten().nonzero()[:, 0]
        return tuple(x.index_select(0, chosen) for x in bottoms[:-1])

    def _check(self, shapes: Shapes) -> None:
        *bottoms, selector = shapes
        if math.prod(selector[1:]) != 1:
            raise self.error(f"expected a selector with one value per item, got {tuple(selector)}")
        for shape in bottoms:
            if shape[0] != selector[0]:
                raise self.error(f"expected as many items as the selector has ({selector[0]}), got "
                                 f"{tuple(shape)}")


@register("BatchReindex")
class BatchReindex(Module):
    """The items (first axis) of bottom[0] that bottom[1] (R,) names, in its order."""

    bottoms = (2, 2)
    no_gradient = (1,)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        if index.dim() != 1:
            raise self.error(f"expected an index with one axis, got {tuple(index.shape)}")
        return x.index_select(0, index.long())


@register("Permute")
class Permute(Module):
    """The bottom with its axes in another order; axes that `order` does not name follow."""

    numbers = Numbers.OF_BOTTOM

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        order = tuple(param.permute_param.order)
        axes = range(len(shapes[0]))
        if len(set(order)) < len(order) or not set(order) <= set(axes):
            raise self.error(f"expected each order once and below {len(axes)}, got {order}")
        self.order = (*order, *(axis for axis in axes if axis not in order))

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.order).contiguous()


@register("ShuffleChannel")
class ShuffleChannel(Module):
    """The channels of the groups interleaved: channel g * C / group + i becomes i * group + g.

    bottom[0]: (N, C, ...), C a multiple of group
    """

    numbers = Numbers.OF_BOTTOM

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.group = param.shuffle_channel_param.group
        if self.group < 1:
            raise self.error(f"expected group > 0, got {self.group}")

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() < 2 or x.shape[1] % self.group:
            raise self.error(f"expected a multiple of {self.group} channels, got bottom "
                             f"{tuple(x.shape)}")
        return x.unflatten(1, (self.group, -1)).transpose(1, 2).flatten(1, 2)
