"""Losses that compare two bottoms value by value, and what all losses share.

Caffe: loss_layer.cpp and the files named like the types; SmoothL1Loss: Fast R-CNN's
smooth_L1_loss_layer.cu. Every top[0] is a scalar.
"""
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.layer_types.common.given_gradients import with_gradient
from caffe.layer_types.common.module import Module, Shapes
from caffe.layer_types.common.registry import register
from caffe.operators import ops
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import LayerParameter

FULL, VALID = caffe_pb2.LossParameter.FULL, caffe_pb2.LossParameter.VALID
BATCH_SIZE = caffe_pb2.LossParameter.BATCH_SIZE
PRE_FIXED = caffe_pb2.LossParameter.PRE_FIXED


class Loss(Module):
    """Base of the losses: two bottoms with the same first axis, and one top."""

    bottoms = (2, 2)
    is_loss = True
    auto_top = True
    no_gradient: tuple[int, ...] = (1,)

    def check_first_axis(self, bottom: Tensor, other: Tensor) -> None:
        """Caffe: LossLayer::Reshape."""
        if not bottom.dim() or not other.dim() or bottom.shape[0] != other.shape[0]:
            raise self.error("expected bottoms with the same first axis, got shapes "
                             f"{tuple(bottom.shape)} and {tuple(other.shape)}")

    def same_values(self, bottom: Tensor, other: Tensor) -> Tensor:
        """`other` in the shape of `bottom`; an error when it has other numbers of values."""
        self.check_first_axis(bottom, other)
        if other.numel() != bottom.numel():
            raise self.error("expected bottoms with the same number of values, got shapes "
                             f"{tuple(bottom.shape)} and {tuple(other.shape)}")
        return other.reshape(bottom.shape)


class NormalizedLoss(Loss):
    """A loss with a loss_param: an ignored label, and what the sum is divided by."""

    default_normalization = VALID

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.loss_param
        self.ignore = p.ignore_label if p.HasField("ignore_label") else None
        self.normalization = (p.normalization if p.HasField("normalization")
                              else self.default_normalization)
        self.pre_fixed = p.pre_fixed_normalizer
        if p.HasField("normalize") and not p.HasField("normalization"):
            self.normalization = VALID if p.normalize else BATCH_SIZE

    def valid(self, labels: Tensor) -> Tensor:
        """1 where the label counts, 0 where it is the ignored one; labels are truncated to int."""
        if self.ignore is None:
            return torch.ones_like(labels)
        return (labels.trunc() != self.ignore).to(labels.dtype)

    def normalized(self, total: Tensor, valid: Tensor, items: int) -> Tensor:
        """`total` divided as the normalization asks for, by at least 1.

        valid: 1 or 0 per place (all of them); items: what counts as the batch size.
        """
        if self.normalization == VALID:
            return total / valid.sum().clamp(min=1)
        divisor = {FULL: valid.numel(), BATCH_SIZE: items, PRE_FIXED: self.pre_fixed}
        return total / max(1, divisor.get(self.normalization, 1))


@register("EuclideanLoss")
class EuclideanLoss(Loss):
    """Half the sum of squared differences, divided by the first axis; both bottoms learn."""

    no_gradient = ()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return (x - self.same_values(x, y)).square().sum() / (2 * x.shape[0])


@register("SmoothL1Loss")
class SmoothL1Loss(Loss):
    """Sum of outside * smooth_l1(inside * (bottom[0] - bottom[1])), divided by the first axis.

    smooth_l1(d) = 0.5 (sigma d)^2 where |d| < 1 / sigma^2, else |d| - 0.5 / sigma^2.
    bottom[2]: inside weights, ones where there are none
    bottom[3]: outside weights, ones where there are none
    All bottoms have one shape. Three bottoms are the first form of Fast R-CNN's layer, whose
    weights (0 and 1 in its nets) multiply the difference only.
    Without loss_weight in the prototxt it does not count in the objective.
    """

    bottoms = (2, 4)
    is_loss = False
    no_gradient = (2, 3)
    ignores_forbidden_gradient = True   # Fast R-CNN: weights come from layers that learn

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.sigma = param.smooth_l1_loss_param.sigma

    def forward(self, x: Tensor, target: Tensor, inside: Tensor | None = None,
                outside: Tensor | None = None) -> Tensor:
        target, inside, outside = (None if other is None else self.same_values(x, other)
                                   for other in (target, inside, outside))
        return ops.smooth_l1_loss(x, target, inside, outside, self.sigma)


@register("SigmoidCrossEntropyLoss")
class SigmoidCrossEntropyLoss(NormalizedLoss):
    """Cross entropy of sigmoid(bottom[0]) with targets bottom[1] in [0, 1], of the same size."""

    default_normalization = BATCH_SIZE

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        target = self.same_values(x, target)
        valid = self.valid(target)
        terms = F.binary_cross_entropy_with_logits(x, target, reduction="none")
        return self.normalized((terms * valid).sum(), valid, x.shape[0])


@register("HingeLoss")
class HingeLoss(Loss):
    """Sum of max(0, 1 +- score) (or its square with norm L2), divided by the first axis.

    bottom[0]: scores (N, C, ...), minus for the label's class     bottom[1]: labels, N values
    """

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.square = param.hinge_loss_param.norm == caffe_pb2.HingeLossParameter.L2

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        self.check_first_axis(scores, labels)
        rows = scores.reshape(scores.shape[0], -1)
        own = self.labels_of(labels, *rows.shape)
        sign = torch.ones_like(rows).scatter(1, own[:, None], -1)
        margins = F.relu(1 + sign * rows)
        return (margins.square() if self.square else margins).sum() / rows.shape[0]


@register("ContrastiveLoss")
class ContrastiveLoss(Loss):
    """Half the mean of d^2 over similar pairs and of max(margin - d, 0)^2 over the others.

    bottom[0], bottom[1]: (N, C) or (N, C, 1, 1); d is their distance
    bottom[2]: (N,), not 0 for similar pairs.     legacy_version: max(margin - d^2, 0) instead
    """

    bottoms = (3, 3)
    no_gradient = (2,)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.contrastive_loss_param
        self.margin, self.legacy = p.margin, p.legacy_version
        for shape in shapes:
            if math.prod(shape[2:]) != 1:
                raise self.error(f"expected bottoms of height and width 1, got {tuple(shape)}")

    def forward(self, a: Tensor, b: Tensor, similar: Tensor) -> Tensor:
        b = self.same_values(a, b)
        if similar.numel() != a.shape[0]:
            raise self.error(f"expected one value per pair ({a.shape[0]}) in bottom[2], got shape "
                             f"{tuple(similar.shape)}")
        similar = similar.reshape(-1, 1).trunc() != 0
        apart = (a - b).detach().reshape(a.shape[0], -1)
        square = apart.square().sum(1, keepdim=True)
        distance = square.sqrt()
        gap = (self.margin - (square if self.legacy else distance)).clamp(min=0)
        # Caffe: 1e-4 keeps the gradient of equal pairs finite
        push = (gap > 0).to(gap.dtype) if self.legacy else gap / (distance + 1e-4)
        factor = torch.where(similar, 1, -push) * apart / a.shape[0]
        loss = torch.where(similar, square, gap if self.legacy else gap.square()).sum()
        factor = factor.reshape(a.shape)
        return with_gradient(loss / (2 * a.shape[0]), (a, factor), (b, -factor))
