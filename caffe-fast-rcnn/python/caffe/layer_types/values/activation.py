"""Functions of one value: every top has the shape of its bottom.

Caffe: relu_layer.cpp, prelu_layer.cpp, sigmoid_layer.cpp and the files named like the other types;
ReLU6: MobileNet-YOLO's relu6_layer.cpp; Dropout: dropout_layer.cpp, with the scale_train option of
Fast R-CNN's Caffe.
"""
import math

import torch
import torch.nn.functional as F

from caffe.layer_types.common.module import Module, filler_or
from caffe.layer_types.common.registry import register
from caffe.proto import caffe_pb2


@register("ReLU")
class ReLU(Module):
    """top = max(bottom, 0) + negative_slope * min(bottom, 0)."""

    keeps_shape = True
    in_place = True

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        self.slope = param.relu_param.negative_slope

    def forward(self, x):
        return F.leaky_relu(x, self.slope) if self.slope else F.relu(x)

    def forward_inplace(self, x):
        return F.leaky_relu_(x, self.slope) if self.slope else x.relu_()

    def backward_inplace(self, y, grad):
        """Caffe: the sign of the changed data stands for that of the bottom."""
        if self.slope:
            return torch.where(y > 0, grad, grad * self.slope)
        return torch.ops.aten.threshold_backward(grad, y, 0)


@register("ReLU6")
class ReLU6(Module):
    """top = min(max(bottom, 0) + negative_slope * min(bottom, 0), 6)."""

    keeps_shape = True
    in_place = True

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        self.slope = param.relu6_param.negative_slope

    def forward(self, x):
        y = F.leaky_relu(x, self.slope)
        return torch.where(y < 6, y, 6)

    def forward_inplace(self, x):
        return F.leaky_relu_(x, self.slope).clamp_(max=6)

    def backward_inplace(self, y, grad):
        return torch.where(y > 0, grad, grad * self.slope) * (y < 6)


@register("PReLU")
class PReLU(Module):
    """top = max(bottom, 0) + slope * min(bottom, 0), with a learned slope per channel.

    bottom[0]: (N, C, ...)     params: slope (C,), or () with channel_shared; 0.25 by default
    """

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        p = param.prelu_param
        if len(shapes[0]) < 2:
            raise self.error(f"expected a bottom with at least 2 axes, got {tuple(shapes[0])}")
        self.add_blob(() if p.channel_shared else shapes[0][1:2], filler_or(p, "filler", 0.25))

    def forward(self, x):
        slope = self.blobs[0]
        if slope.dim() and x.shape[1:2] != slope.shape:
            raise self.error(f"expected {slope.shape[0]} channels as when the net was built, got "
                             f"bottom {tuple(x.shape)}")
        return F.prelu(x, slope)


@register("Sigmoid")
class Sigmoid(Module):
    """top = 1 / (1 + exp(-bottom))."""

    keeps_shape = True
    in_place = True

    def forward(self, x):
        return torch.sigmoid(x)

    def forward_inplace(self, x):
        return x.sigmoid_()

    def backward_inplace(self, y, grad):
        return torch.ops.aten.sigmoid_backward(grad, y)


@register("TanH")
class TanH(Module):
    """top = tanh(bottom)."""

    keeps_shape = True
    in_place = True

    def forward(self, x):
        return torch.tanh(x)

    def forward_inplace(self, x):
        return x.tanh_()

    def backward_inplace(self, y, grad):
        return torch.ops.aten.tanh_backward(grad, y)


@register("AbsVal")
class AbsVal(Module):
    """top = |bottom|, with gradient 0 at 0."""

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        self.refuse_in_place()

    def forward(self, x):
        return x.abs()


@register("BNLL")
class BNLL(Module):
    """top = log(1 + exp(bottom)), the binomial normal log likelihood."""

    def forward(self, x):
        return F.softplus(x)


@register("ELU")
class ELU(Module):
    """top = bottom where positive, else alpha * (exp(bottom) - 1)."""

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        self.alpha = param.elu_param.alpha

    def forward(self, x):
        return F.elu(x, self.alpha)


@register("Swish")
class Swish(Module):
    """top = bottom * sigmoid(beta * bottom)."""

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        self.beta = param.swish_param.beta

    def forward(self, x):
        return x * torch.sigmoid(self.beta * x)


@register("Clip")
class Clip(Module):
    """top = bottom between min and max; the gradient passes at the limits themselves."""

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        p = param.clip_param
        if not p.IsInitialized():
            raise self.error("expected clip_param with min and max, got neither or one of them")
        self.min, self.max = p.min, p.max

    def forward(self, x):
        return x.clamp(self.min, self.max)


@register("Threshold")
class Threshold(Module):
    """top = 1 where bottom > threshold, else 0. No gradient."""

    no_gradient = (0,)

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        self.threshold = param.threshold_param.threshold

    def forward(self, x):
        return (x > self.threshold).to(x.dtype)


@register("Power")
class Power(Module):
    """top = (shift + scale * bottom) ^ power."""

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        p = param.power_param
        self.power, self.scale, self.shift = p.power, p.scale, p.shift

    def forward(self, x):
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

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        p = self.options(param)
        if p.base != -1 and p.base <= 0:
            raise self.error(f"expected base > 0, or -1 for e, got {p.base}")
        self.log_base = 1.0 if p.base == -1 else math.log(p.base)
        self.scale, self.shift = p.scale, p.shift

    @staticmethod
    def options(param):
        """The field of the LayerParameter."""


@register("Exp")
class Exp(_Logarithmic):
    """top = base ^ (shift + scale * bottom)."""

    @staticmethod
    def options(param):
        return param.exp_param

    def forward(self, x):
        return torch.exp(self.log_base * (self.shift + self.scale * x))


@register("Log")
class Log(_Logarithmic):
    """top = logarithm of (shift + scale * bottom) to `base`."""

    @staticmethod
    def options(param):
        return param.log_param

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        if self.log_base == 0:
            raise self.error("expected a base other than 1, got 1")

    def forward(self, x):
        return torch.log(self.shift + self.scale * x) / self.log_base


@register("Dropout")
class Dropout(Module):
    """Sets a random share of the values to 0 in the TRAIN phase.

    scale_train (the default): training divides the kept values by 1 - dropout_ratio and testing
    changes nothing. Else training keeps them as they are and testing multiplies by that number.
    """

    keeps_shape = True

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        p = param.dropout_param
        self.ratio, self.scale_train = p.dropout_ratio, p.scale_train
        self.training_phase = phase == caffe_pb2.TRAIN
        if not 0 <= self.ratio < 1:
            raise self.error(f"expected dropout_ratio in [0, 1), got {self.ratio}")

    def forward(self, x):
        if not self.training_phase:
            return x.view_as(x) if self.scale_train else x * (1 - self.ratio)
        if self.scale_train:
            return F.dropout(x, self.ratio, training=True)
        return x * torch.empty_like(x).bernoulli_(1 - self.ratio)
