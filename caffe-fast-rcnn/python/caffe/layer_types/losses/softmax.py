"""Softmax and the losses over classes.

Caffe: softmax_layer.cpp, softmax_loss_layer.cpp, infogain_loss_layer.cpp,
multinomial_logistic_loss_layer.cpp; focal loss: Lin et al. 2017. Labels are floats that hold
integers.
"""
import math

import torch
import torch.nn.functional as F

from caffe.core.errors import WeightsError
from caffe.files import weights
from caffe.layer_types.common.module import Module
from caffe.layer_types.common.registry import register
from caffe.layer_types.losses.loss import Loss, NormalizedLoss

# Caffe: the logarithm's argument is at least FLT_MIN, or 1e-20 in the two rarer losses
LOG_SMALLEST = math.log(torch.finfo(torch.float32).tiny)
_LOG_THRESHOLD = 1e-20


@register("Softmax")
class Softmax(Module):
    """top = exp(bottom) / sum of exp(bottom) along `axis`."""

    keeps_shape = True

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        self.axis = self.axis_of(shapes[0], param.softmax_param.axis)

    def forward(self, x):
        return torch.softmax(x, self.axis)


class _ClassLoss(NormalizedLoss):
    """A loss over the softmax of scores.

    bottom[0]: scores (..., C, ...), classes along `axis`
    bottom[1]: labels 0 .. C - 1, one for each place of the other axes, in any layout
    top[1]:    the probabilities, of the shape of the scores; without a gradient
    """

    tops = (1, 2)

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        self.axis = self.axis_of(shapes[0], self.options(param).axis)

    @staticmethod
    def options(param):
        """The field of the LayerParameter that has the axis."""

    def forward(self, scores, labels, *others):
        self.check_first_axis(scores, labels)
        self.check_labels(scores, labels, self.axis)
        classes = scores.shape[self.axis]
        rows = scores.movedim(self.axis, -1).reshape(-1, classes)
        valid = self.valid(labels.reshape(-1))
        indices = (labels.reshape(-1) * valid).long()
        self.check_range(indices, classes, "label")
        losses = self.losses(F.log_softmax(rows, 1), indices, *others) * valid
        loss = self.normalized(losses.sum(), valid, math.prod(scores.shape[:self.axis]))
        if len(self.param.top) == 1:
            return loss
        probabilities = torch.softmax(scores.detach(), self.axis)
        return (loss, probabilities, losses.detach().reshape(labels.shape))[:len(self.param.top)]

    def losses(self, logs, labels):
        """(M,): the loss of each place from log probabilities (M, C) and labels (M,)."""
        raise self.error("has no forward pass")


@register("SoftmaxWithLoss")
class SoftmaxWithLoss(_ClassLoss):
    """-log of the label's probability, normalized; bottoms and tops as `_ClassLoss` says."""

    @staticmethod
    def options(param):
        return param.softmax_param

    def losses(self, logs, labels):
        return -at_least(logs.gather(1, labels[:, None])[:, 0], LOG_SMALLEST)


class _FocalLoss(SoftmaxWithLoss):
    """-alpha (1 - p)^gamma log p of the label's probability p, normalized (Lin et al. 2017).

    Bottoms and tops as `_ClassLoss` says.
    """

    def losses(self, logs, labels):
        options = self.param.focal_loss_param
        own = -super().losses(logs, labels)
        others = (-torch.expm1(own)).clamp(min=0)   # 1 - p
        return -options.alpha * others ** options.gamma * own


@register("FocalLoss")
class FocalLoss(_FocalLoss):
    """The name in most forks of Caffe."""


@register("SoftmaxFocalLoss")
class SoftmaxFocalLoss(_FocalLoss):
    """The name in others."""


@register("InfogainLoss")
class InfogainLoss(_ClassLoss):
    """-sum over the classes of H[label, class] * log probability, normalized.

    H (C, C) is bottom[2], or the blob in the .binaryproto file `source`; the other bottoms and the
    tops as `_ClassLoss` says.
    """

    bottoms = (2, 3)
    no_gradient = (1, 2)

    @staticmethod
    def options(param):
        return param.infogain_loss_param

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        if len(shapes) == 2:
            self.register_buffer("infogain", self._read(param.infogain_loss_param.source))

    def _read(self, path):
        if not path:
            raise self.error("expected a third bottom or infogain_loss_param { source }, got none")
        try:
            return torch.from_numpy(weights.read_binaryproto(path)).flatten()
        except WeightsError as problem:
            raise self.error(f"infogain source: {problem}") from None

    def losses(self, logs, labels, infogain=None):
        matrix = self.infogain if infogain is None else infogain
        classes = logs.shape[1]
        if matrix.numel() != classes ** 2:
            raise self.error(f"expected an infogain matrix of {classes} x {classes} values, got "
                             f"{matrix.numel()}")
        gains = matrix.reshape(classes, classes)[labels]
        return -(gains * at_least(logs, math.log(_LOG_THRESHOLD))).sum(1)


@register("MultinomialLogisticLoss")
class MultinomialLogisticLoss(Loss):
    """-log of the label's probability, divided by the first axis.

    bottom[0]: probabilities (N, C, ...)     bottom[1]: labels, N values
    """

    def forward(self, probabilities, labels):
        self.check_first_axis(probabilities, labels)
        rows = probabilities.reshape(probabilities.shape[0], -1)
        labels = self.one_label_each(labels, rows)
        own = at_least(rows.gather(1, labels[:, None]), _LOG_THRESHOLD)
        return -own.log().sum() / rows.shape[0]


def at_least(x, limit):
    """max(x, limit), with the gradient of x everywhere: Caffe's only looks at the value."""
    return x + (limit - x.detach()).clamp(min=0)
