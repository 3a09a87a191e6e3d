"""Arithmetic between bottoms, or between a bottom and a learned blob.

Caffe: eltwise_layer.cpp, scale_layer.cpp, bias_layer.cpp; Axpy: SENet's axpy_layer.cpp.
"""
import functools
import operator

import torch
from torch import Tensor

from caffe.layer_types.common.given_gradients import with_gradient
from caffe.layer_types.common.module import Module, Numbers, Shape, Shapes, filler_or
from caffe.layer_types.common.registry import register
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import BiasParameter, LayerParameter, ScaleParameter


@register("Eltwise")
class Eltwise(Module):
    """The sum, product or maximum of bottoms of one shape.

    Where maxima are equal, the second of the first two bottoms gets the gradient; a later bottom
    gets it only where it is larger.
    """

    numbers = Numbers.ROUNDED
    fresh_tops = True
    bottoms = (2, None)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.eltwise_param
        self.coeff, self.stable = tuple(p.coeff), p.stable_prod_grad
        self.operation = {p.SUM: self._sum, p.PROD: self._prod, p.MAX: self._max}[p.operation]
        self.is_plain_sum = p.operation == p.SUM and all(c == 1 for c in self.coeff)
        if self.coeff and p.operation == p.PROD:
            raise self.error("expected coeff with operation SUM only, got it with PROD")
        if self.coeff and len(self.coeff) != len(shapes):
            raise self.error(f"expected one coeff for each of the {len(shapes)} bottoms or none, "
                             f"got {len(self.coeff)}")

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        first, *others = (tuple(shape) for shape in shapes)
        for shape in others:
            if shape != first:
                raise self.error(f"expected bottoms of one shape, got {first} and {shape}")
        return [first]

    def forward(self, *bottoms: Tensor) -> Tensor:
        self.top_shapes([x.shape for x in bottoms])
        return self.operation(bottoms)

    def _sum(self, bottoms: tuple[Tensor, ...]) -> Tensor:
        if self.coeff:
            bottoms = tuple(x if c == 1 else x * c for c, x in zip(self.coeff, bottoms))
        return functools.reduce(operator.add, bottoms)

    def _prod(self, bottoms: tuple[Tensor, ...]) -> Tensor:
        top = functools.reduce(operator.mul, bottoms)
        if self.stable:
            return top
        return with_gradient(top, *((x, top / x) for x in bottoms))

    def _max(self, bottoms: tuple[Tensor, ...]) -> Tensor:
        first, second, *others = bottoms
        top = torch.where(first > second, first, second)
        for x in others:
            top = torch.where(x > top, x, top)
        return top


class _Broadcast(Module):
    """What Scale and Bias share: a factor or summand that covers some axes of the bottom.

    It is the second bottom, or learned.
    """

    bottoms = (1, 2)

    def cover(self, shape: Shape, p: ScaleParameter | BiasParameter) -> Shape:
        """Shape of the learned blob: `num_axes` axes of the bottom from `axis` on."""
        axis = self.axis_of(shape, p.axis)
        if p.num_axes < -1 or axis + p.num_axes > len(shape):
            raise self.error(f"expected num_axes that the bottom {tuple(shape)} has from axis "
                             f"{axis} on, or -1 for all of them, got {p.num_axes}")
        return tuple(shape[axis:] if p.num_axes == -1 else shape[axis:axis + p.num_axes])

    def place(self, x: Tensor, other: Tensor, axis: int) -> Tensor:
        """`other` as a view that broadcasts to x, its first axis at `axis` of x."""
        behind = self._axes_behind(tuple(x.shape), tuple(other.shape), axis)
        return other.reshape(*other.shape, *(1,) * behind)

    def _axes_behind(self, shape: Shape, other: Shape, axis: int) -> int:
        """How many axes of `shape` lie behind those that `other` covers from `axis` on."""
        axis = self.axis_of(shape, axis) if other else 0
        if shape[axis:axis + len(other)] != other:
            raise self.error(f"expected a shape that the bottom {shape} has from axis {axis} on, "
                             f"got {other}")
        return len(shape) - axis - len(other)

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        x, *other = (tuple(shape) for shape in shapes)
        for covering in other or [tuple(blob.shape) for blob in self.blobs]:
            self._axes_behind(x, covering, self.axis)
        return [x]


@register("Scale")
class Scale(_Broadcast):
    """top = bottom[0] * scale (+ bias), scale and bias broadcast from `axis` on.

    bottom[1]: the scale, of a shape that bottom[0] has from `axis` on; else it is learned
    params:    scale (1 by default) unless there is a second bottom, bias with bias_term
    """

    numbers = Numbers.ROUNDED
    fresh_tops = True

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.scale_param
        self.axis, self.has_bias = p.axis, p.bias_term
        self.overwrites = len(shapes) == 1
        if len(shapes) == 1:
            self.add_blob(self.cover(shapes[0], p), filler_or(p, "filler", 1))
        if p.bias_term:
            self.add_blob(shapes[1] if len(shapes) > 1 else self.blobs[0].shape, p.bias_filler)

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        scale = self.place(x, self.blobs[0] if scale is None else scale, self.axis)
        return torch.addcmul(self._placed_bias(x), x, scale) if self.has_bias else x * scale

    def _placed_bias(self, x: Tensor) -> Tensor:
        return self.place(x, self.blobs[-1], self.axis)

    def forward_inplace(self, x: Tensor) -> Tensor:
        scale = self.place(x, self.blobs[0], self.axis)
        if self.has_bias:
            return torch.addcmul(self._placed_bias(x), x, scale, out=x)
        return x.mul_(scale)


@register("Bias")
class Bias(_Broadcast):
    """top = bottom[0] + bias, broadcast from `axis` on.

    bottom[1]: the bias, of a shape that bottom[0] has from `axis` on; else it is learned
    params:    bias (0 by default) unless there is a second bottom
    """

    numbers = Numbers.ROUNDED

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.bias_param
        self.axis = p.axis
        if len(shapes) == 1:
            self.add_blob(self.cover(shapes[0], p), p.filler)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        return x + self.place(x, self.blobs[0] if bias is None else bias, self.axis)


@register("Reduction")
class Reduction(Module):
    """coeff times the sum, sum of absolute values, sum of squares or mean over the last axes.

    bottom[0]: any shape     top[0]: the axes in front of `axis`. Caffe: reduction_layer.cpp
    """

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.reduction_param
        self.axis, self.coeff = self.axis_of(shapes[0], p.axis), p.coeff
        self.terms = {p.ASUM: torch.abs, p.SUMSQ: torch.square}.get(p.operation)
        self.mean = p.operation == caffe_pb2.ReductionParameter.MEAN

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(self.axis)
        x = self.terms(x) if self.terms else x
        return self.coeff * (x.mean(-1) if self.mean else x.sum(-1))


@register("Axpy")
class Axpy(Module):
    """scale * x + y, with one scale for each item and channel.

    bottom[0]: scale (N, C) or (N, C, 1, 1)     bottom[1], bottom[2]: x and y (N, C, ...)
    """

    numbers = Numbers.ROUNDED
    bottoms = (3, 3)

    def forward(self, scale: Tensor, x: Tensor, y: Tensor) -> Tensor:
        if x.shape != y.shape or x.dim() < 2 or scale.shape[:2] != x.shape[:2] \
                or scale.numel() != x.shape[0] * x.shape[1]:
            raise self.error("expected bottoms of shape (N, C), (N, C, ...) and (N, C, ...), got "
                             f"{tuple(scale.shape)}, {tuple(x.shape)} and {tuple(y.shape)}")
        return scale.reshape(*x.shape[:2], *(1,) * (x.dim() - 2)) * x + y
