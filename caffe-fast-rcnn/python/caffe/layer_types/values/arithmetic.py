"""Arithmetic with each value by itself, and Dropout: every top has the shape of its bottom.

Caffe: the files named like the types; Dropout: dropout_layer.cpp, with the scale_train option of
Fast R-CNN's Caffe and the sample_weights_test of Bayesian SegNet's.
"""
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.layer_types.common.module import Module, Numbers, Shapes
from caffe.layer_types.common.registry import register
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import ExpParameter, LayerParameter, LogParameter


@register("Power")
class Power(Module):
    """top = (shift + scale * bottom) ^ power."""

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.power_param
        self.power, self.scale, self.shift = p.power, p.scale, p.shift

    def forward(self, x: Tensor) -> Tensor:
        if self.power == 0 or self.scale == 0:  # Caffe: a constant, whatever the bottom holds
            return torch.full_like(x, self.shift).pow(self.power)
        if self.shift:
            y = torch.add(self.shift, x, alpha=self.scale)
        elif self.scale != 1 or self.power == 1:
            y = x * self.scale
        else:
            y = x
        return y if self.power == 1 else y.pow(self.power)


class _Logarithmic(Module):
    """What Exp and Log share: base (-1: e), scale and shift."""

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = self.options(param)
        if p.base != -1 and p.base <= 0:
            raise self.error(f"expected base > 0, or -1 for e, got {p.base}")
        self.log_base = 1.0 if p.base == -1 else math.log(p.base)
        self.scale, self.shift = p.scale, p.shift

    @staticmethod
    def options(param: LayerParameter) -> ExpParameter | LogParameter:
        """The field of the LayerParameter."""


@register("Exp")
class Exp(_Logarithmic):
    """top = base ^ (shift + scale * bottom)."""

    @staticmethod
    def options(param: LayerParameter) -> ExpParameter:
        return param.exp_param

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(self.log_base * (self.shift + self.scale * x))


@register("Log")
class Log(_Logarithmic):
    """top = logarithm of (shift + scale * bottom) to `base`."""

    @staticmethod
    def options(param: LayerParameter) -> LogParameter:
        return param.log_param

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        if self.log_base == 0:
            raise self.error("expected a base other than 1, got 1")

    def forward(self, x: Tensor) -> Tensor:
        return torch.log(self.shift + self.scale * x) / self.log_base


@register("Clip")
class Clip(Module):
    """top = bottom between min and max; the gradient passes at the limits themselves."""

    numbers = Numbers.OF_BOTTOM

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.clip_param
        if not p.IsInitialized():
            raise self.error("expected clip_param with min and max, got neither or one of them")
        self.min, self.max = p.min, p.max

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(self.min, self.max)


@register("Threshold")
class Threshold(Module):
    """top = 1 where bottom > threshold, else 0. No gradient."""

    no_gradient = (0,)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.threshold = param.threshold_param.threshold

    def forward(self, x: Tensor) -> Tensor:
        return (x > self.threshold).to(x.dtype)


@register("Dropout")
class Dropout(Module):
    """Sets a random share of the values to 0 in the TRAIN phase.

    scale_train (the default): training divides the kept values by 1 - dropout_ratio and testing
    changes nothing. Else training keeps them as they are and testing multiplies by that number.
    sample_weights_test (Bayesian SegNet): the TEST phase is as the TRAIN phase.
    """

    numbers = Numbers.OF_BOTTOM
    keeps_shape = True

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.dropout_param
        self.ratio, self.scale_train = p.dropout_ratio, p.scale_train
        self.drops = phase == caffe_pb2.TRAIN or p.sample_weights_test
        self.is_in_place = param.bottom[0] == param.top[0]
        if not 0 <= self.ratio < 1:
            raise self.error(f"expected dropout_ratio in [0, 1), got {self.ratio}")

    def forward(self, x: Tensor) -> Tensor:
        if not self.drops and self.scale_train:     # a top of its own is not the bottom's memory
            return x.view_as(x) if self.is_in_place else x.clone()
        if not self.drops:
            return x * (1 - self.ratio)
        if self.scale_train:
            return F.dropout(x, self.ratio, training=True)
        return x * torch.empty_like(x).bernoulli_(1 - self.ratio)


@register("SeLuDropout")
class SeLuDropout(Module):
    """Sets a random share of the values to SeLu's lowest in the TRAIN phase; a linear function of
    the result keeps mean and variance (Klambauer et al. 2017).
    """

    keeps_shape = True

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.ratio = param.selu_dropout_param.dropout_ratio
        if not 0 <= self.ratio < 1:
            raise self.error(f"expected dropout_ratio in [0, 1), got {self.ratio}")

    def forward(self, x: Tensor) -> Tensor:
        return F.alpha_dropout(x, self.ratio, training=self.phase == caffe_pb2.TRAIN)
