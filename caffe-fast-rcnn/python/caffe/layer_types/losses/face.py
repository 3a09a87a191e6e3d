"""Losses of face recognition: features near the centre of their class, or far from other classes.

CenterLoss: ydwen/caffe-face, center_loss_layer.cpp (Wen et al. 2016); MarginInnerProduct:
wy1iu/sphereface, margin_inner_product_layer.cpp (Liu et al. 2017). Letters: N items, K values of
an item, C classes.
"""
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from caffe.layer_types.common.module import Module, Shape, Shapes, Tops
from caffe.layer_types.common.registry import register
from caffe.layer_types.losses.loss import Loss
from caffe.proto.caffe_pb2 import LayerParameter, MarginInnerProductParameter


@register("CenterLoss")
class CenterLoss(Loss):
    """Half the squared distances of the items to the centres of their classes, divided by N.

    bottom[0]: features (N, ...), joined from `axis` on     bottom[1]: labels, N values
    params:    centres (C, K)
    A centre's gradient is the sum of its distances to its items, divided by one more than their
    number. As in the original it does not depend on the loss weight.
    """

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.center_loss_param
        if p.num_output < 1:
            raise self.error("expected num_output > 0, got none")
        self.axis = self.axis_of(shapes[0], p.axis)
        self.add_blob((p.num_output, math.prod(shapes[0][self.axis:])), p.center_filler)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        rows = features.flatten(self.axis).flatten(0, -2)
        if rows.shape[1:] != self.blobs[0].shape[1:]:
            raise self.error(f"expected {self.blobs[0].shape[1]} values from axis {self.axis} on "
                             f"as when the net was built, got bottom {tuple(features.shape)}")
        labels = self.labels_of(labels, len(rows), len(self.blobs[0]))
        centres = self.blobs[0].detach()[labels]
        loss = (rows - centres).square().sum() / (2 * len(rows))
        return loss + _CentreGradient.apply(self.blobs[0], rows.detach() - centres, labels)


class _CentreGradient(torch.autograd.Function):
    """0, with the gradient that CenterLoss gives its centres."""

    @staticmethod
    def forward(ctx: FunctionCtx, centres: Tensor, distances: Tensor, labels: Tensor) -> Tensor:
        ctx.save_for_backward(centres, distances, labels)
        return centres.new_zeros(())

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None]:
        centres, distances, labels = ctx.saved_tensors
        total = torch.zeros_like(centres).index_add(0, labels, distances, alpha=-1)
        count = torch.bincount(labels, minlength=len(centres))
        return total / (count[:, None] + 1), None, None


class _Margin(NamedTuple):
    """Of the angle t between each item and its class's weight: psi(t), and the original's gradient.

    The gradient of |x| psi(t) is taken as weight * along_weight + x * along_item.
    """

    psi: Tensor
    along_weight: Tensor
    along_item: Tensor


def _single(cos: Tensor, norm: Tensor) -> _Margin:
    return _Margin(cos, torch.ones_like(cos), torch.zeros_like(cos))


def _double(cos: Tensor, norm: Tensor) -> _Margin:
    sign = cos.sign()
    return _scaled(2 * sign * cos ** 2 - 1, 4 * sign * cos, -(2 * sign * cos ** 2 + 1) / norm)


def _triple(cos: Tensor, norm: Tensor) -> _Margin:
    sign = (cos.abs() - 0.5).sign()
    offset = cos.sign() * (1 + sign) - 2
    return _scaled(sign * (4 * cos ** 3 - 3 * cos) + offset, sign * (12 * cos ** 2 - 3),
                   -(8 * sign * cos ** 3 - offset) / norm)


def _quadruple(cos: Tensor, norm: Tensor) -> _Margin:
    sign = cos.sign() * (2 * cos ** 2 - 1).sign()
    offset = 2 * cos.sign() + sign - 3
    return _scaled(sign * (8 * cos ** 4 - 8 * cos ** 2 + 1) + offset,
                   sign * (32 * cos ** 3 - 16 * cos),
                   -(sign * (24 * cos ** 4 - 8 * cos ** 2 - 1) - offset) / norm)


def _scaled(psi: Tensor, along_weight: Tensor, along_item: Tensor) -> _Margin:
    """SphereFace: the two parts of the gradient are divided by the root of their squares' sum."""
    length = (along_weight ** 2 + along_item ** 2).sqrt()
    return _Margin(psi, along_weight / length, along_item / length)


_MARGINS = {MarginInnerProductParameter.SINGLE: _single,
            MarginInnerProductParameter.DOUBLE: _double,
            MarginInnerProductParameter.TRIPLE: _triple,
            MarginInnerProductParameter.QUADRUPLE: _quadruple}


@register("MarginInnerProduct")
class MarginInnerProduct(Module):
    """Inner products with weights of length 1; the label's class must win by a margin (A-Softmax).

    bottom[0]: x (N, ...), joined from `axis` on     bottom[1]: labels, N values
    top[0]:    (N, C): x w for the other classes; (lambda x w + |x| psi(t)) / (1 + lambda) for the
               label's, t being the angle between x and w
    top[1]:    lambda (1,), which falls with the number of passes
    params:    weight (C, K); every forward pass scales its rows to length 1

    Of the gradients, that of the weight is the plain inner product's, and that of x is scaled as
    in the original. The passes are counted anew from `iteration` when a net is built.
    """

    bottoms = (2, 2)
    tops = (1, 2)
    no_gradient = (1,)
    changes_blobs = True

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = self.p = param.margin_inner_product_param
        if p.num_output < 1:
            raise self.error("expected num_output > 0, got none")
        self.axis, self.passes = self.axis_of(shapes[0], p.axis), p.iteration
        self.add_blob((p.num_output, math.prod(shapes[0][self.axis:])), p.weight_filler)

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        shape = tuple(shapes[0])
        inputs = self.blobs[0].shape[1]
        if math.prod(shape[self.axis:]) != inputs or len(shape) <= self.axis:
            raise self.error(f"expected {inputs} values from axis {self.axis} on as when the net "
                             f"was built, got bottom {shape}")
        return [(*shape[:self.axis], len(self.blobs[0])), (1,)][:len(self.param.top)]

    def forward(self, x: Tensor, labels: Tensor) -> Tops:
        shape = self.top_shapes([x.shape])[0]
        rows = x.reshape(-1, self.blobs[0].shape[1])
        labels = self.labels_of(labels, len(rows), len(self.blobs[0]))
        self.passes += 1
        p = self.p
        rate = max(p.base * (1 + p.gamma * self.passes) ** -p.power, p.lambda_min)
        with torch.no_grad():
            self.blobs[0].div_(self.blobs[0].norm(dim=1, keepdim=True))
        top = _MarginProduct.apply(rows, self.blobs[0], labels, p.type, rate).reshape(shape)
        return (top, x.new_full((1,), rate)) if len(self.param.top) > 1 else top


class _MarginProduct(torch.autograd.Function):
    """MarginInnerProduct's first top (N, C) from rows (N, K) and weights (C, K) of length 1."""

    @staticmethod
    def forward(ctx: FunctionCtx, rows: Tensor, weight: Tensor, labels: Tensor, kind: int,
                rate: float) -> Tensor:
        products, norm = F.linear(rows, weight), rows.norm(dim=1)
        own = products.gather(1, labels[:, None])[:, 0]
        margin = _MARGINS[kind](own / norm, norm)
        ctx.save_for_backward(rows, weight, labels, margin.along_weight, margin.along_item)
        ctx.rate = rate
        value = (rate * own + norm * margin.psi) / (1 + rate)
        return products.scatter(1, labels[:, None], value[:, None])

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        rows, weight, labels, along_weight, along_item = ctx.saved_tensors
        own = grad.gather(1, labels[:, None])[:, 0] / (1 + ctx.rate)
        scaled = grad.scatter(1, labels[:, None], (own * (along_weight + ctx.rate))[:, None])
        down = scaled @ weight + (own * along_item)[:, None] * rows
        return down, grad.t() @ rows, None, None, None
