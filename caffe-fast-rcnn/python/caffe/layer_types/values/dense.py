"""Layers with weights for whole items: InnerProduct, Embed, and Parameter, a learned blob alone.

Caffe: inner_product_layer.cpp, embed_layer.cpp, parameter_layer.hpp.
"""
import math

import torch.nn.functional as F
from torch import Tensor

from caffe.layer_types.common.module import Module, Numbers, Shape, Shapes
from caffe.layer_types.common.registry import register
from caffe.proto.caffe_pb2 import LayerParameter


@register("InnerProduct")
class InnerProduct(Module):
    """top = bottom, flattened from `axis` on, @ weight.T + bias.

    bottom[0]: (N, ...)     top[0]: (N, num_output), or all axes in front of `axis` + num_output
    params:    weight (num_output, K), or (K, num_output) with transpose; bias (num_output,)
    """

    fresh_tops = True
    numbers = Numbers.OF_NET

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.inner_product_param
        if p.num_output < 1:
            raise self.error("expected num_output > 0, got none")
        self.axis, self.transpose = self.axis_of(shapes[0], p.axis), p.transpose
        self.inputs, self.num_output = math.prod(shapes[0][self.axis:]), p.num_output
        shape = (p.num_output, self.inputs)
        self.add_blob(shape[::-1] if p.transpose else shape, p.weight_filler)
        if p.bias_term:
            self.add_blob((p.num_output,), p.bias_filler)

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        shape = tuple(shapes[0])
        inputs = math.prod(shape[self.axis:])
        if len(shape) <= self.axis or inputs != self.inputs:
            raise self.error(f"expected {self.inputs} values from axis {self.axis} on as when the "
                             f"net was built, got {inputs} (bottom {shape})")
        return [(*shape[:self.axis], self.num_output)]

    def forward(self, x: Tensor) -> Tensor:
        self.top_shapes([x.shape])
        weight, *bias = (blob.to(x.dtype) for blob in self.blobs)
        return F.linear(x.flatten(self.axis), weight.t() if self.transpose else weight, *bias)


@register("Embed")
class Embed(Module):
    """top = the row of the weights that each value of the bottom names, + bias.

    bottom[0]: indices (...)     top[0]: (..., num_output)
    params:    weight (input_dim, num_output), bias (num_output,)
    """

    no_gradient = (0,)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.embed_param
        if p.num_output < 1 or p.input_dim < 1:
            raise self.error(f"expected num_output > 0 and input_dim > 0, got {p.num_output} and "
                             f"{p.input_dim}")
        self.add_blob((p.input_dim, p.num_output), p.weight_filler)
        if p.bias_term:
            self.add_blob((p.num_output,), p.bias_filler)

    def forward(self, index: Tensor) -> Tensor:
        self.check_range(index, self.blobs[0].shape[0], "index")
        top = F.embedding(index.long(), self.blobs[0])
        return top + self.blobs[1] if len(self.blobs) > 1 else top


@register("Parameter")
class Parameter(Module):
    """top = the learned blob itself, of the given shape; no bottom."""

    bottoms = (0, 0)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.parameter_param
        self.add_blob(p.shape.dim, p.blob_filler if p.HasField("blob_filler") else None)

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        return [tuple(self.blobs[0].shape)]

    def initial_tops(self) -> tuple[Tensor, ...]:
        return (self.blobs[0].detach(),)

    def forward(self) -> Tensor:
        return self.blobs[0].view_as(self.blobs[0])
