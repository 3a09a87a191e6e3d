"""Activations: every top has the shape of its bottom.

Caffe: relu_layer.cpp, prelu_layer.cpp, sigmoid_layer.cpp and the files named like the other types;
ReLU6: MobileNet-YOLO's relu6_layer.cpp; SeLu: Klambauer et al. 2017; HardSigmoid and HardSwish:
Howard et al. 2019; Mish: Misra 2019.
"""
import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.layer_types.common.module import Module, Numbers, Shapes, filler_or
from caffe.layer_types.common.registry import register
from caffe.proto.caffe_pb2 import LayerParameter


@register("ReLU")
class ReLU(Module):
    """top = max(bottom, 0) + negative_slope * min(bottom, 0)."""

    numbers = Numbers.OF_BOTTOM
    keeps_shape = True
    in_place = True

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.slope = param.relu_param.negative_slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope) if self.slope else F.relu(x)

    def forward_inplace(self, x: Tensor) -> Tensor:
        return F.leaky_relu_(x, self.slope) if self.slope else x.relu_()

    def backward_inplace(self, y: Tensor, grad: Tensor) -> Tensor:
        """Caffe: the sign of the changed data stands for that of the bottom."""
        if self.slope:
            return torch.where(y > 0, grad, grad * self.slope)
        return torch.ops.aten.threshold_backward(grad, y, 0)


@register("ReLU6")
class ReLU6(Module):
    """top = min(max(bottom, 0) + negative_slope * min(bottom, 0), 6)."""

    numbers = Numbers.OF_BOTTOM
    keeps_shape = True
    in_place = True

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.slope = param.relu6_param.negative_slope

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(x, self.slope)
        return torch.where(y < 6, y, 6)

    def forward_inplace(self, x: Tensor) -> Tensor:
        return F.leaky_relu_(x, self.slope).clamp_(max=6) if self.slope else x.clamp_(0, 6)

    def backward_inplace(self, y: Tensor, grad: Tensor) -> Tensor:
        if not self.slope:      # one pass over the data
            return torch.ops.aten.hardtanh_backward(grad, y, 0, 6)
        return torch.where(y > 0, grad, grad * self.slope) * (y < 6)


@register("PReLU")
class PReLU(Module):
    """top = max(bottom, 0) + slope * min(bottom, 0), with a learned slope per channel.

    bottom[0]: (N, C, ...)     params: slope (C,), or () with channel_shared; 0.25 by default
    """

    numbers = Numbers.ROUNDED

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.prelu_param
        if len(shapes[0]) < 2:
            raise self.error(f"expected a bottom with at least 2 axes, got {tuple(shapes[0])}")
        self.add_blob(() if p.channel_shared else shapes[0][1:2], filler_or(p, "filler", 0.25))

    def forward(self, x: Tensor) -> Tensor:
        slope = self.blobs[0]
        if slope.dim() and x.shape[1:2] != slope.shape:
            raise self.error(f"expected {slope.shape[0]} channels as when the net was built, got "
                             f"bottom {tuple(x.shape)}")
        return F.prelu(x, slope)


@register("Sigmoid")
class Sigmoid(Module):
    """top = 1 / (1 + exp(-bottom))."""

    numbers = Numbers.ROUNDED
    keeps_shape = True
    in_place = True

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)

    def forward_inplace(self, x: Tensor) -> Tensor:
        return x.sigmoid_()

    def backward_inplace(self, y: Tensor, grad: Tensor) -> Tensor:
        return torch.ops.aten.sigmoid_backward(grad, y)


@register("TanH")
class TanH(Module):
    """top = tanh(bottom)."""

    numbers = Numbers.ROUNDED
    keeps_shape = True
    in_place = True

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x)

    def forward_inplace(self, x: Tensor) -> Tensor:
        return x.tanh_()

    def backward_inplace(self, y: Tensor, grad: Tensor) -> Tensor:
        return torch.ops.aten.tanh_backward(grad, y)


@register("AbsVal")
class AbsVal(Module):
    """top = |bottom|, with gradient 0 at 0."""

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.refuse_in_place()

    def forward(self, x: Tensor) -> Tensor:
        return x.abs()


@register("BNLL")
class BNLL(Module):
    """top = log(1 + exp(bottom)), the binomial normal log likelihood."""

    def forward(self, x: Tensor) -> Tensor:
        return F.softplus(x)


@register("ELU")
class ELU(Module):
    """top = bottom where positive, else alpha * (exp(bottom) - 1)."""

    numbers = Numbers.ROUNDED

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.alpha = param.elu_param.alpha

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(x, self.alpha)


@register("Swish")
class Swish(Module):
    """top = bottom * sigmoid(beta * bottom)."""

    numbers = Numbers.ROUNDED

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.beta = param.swish_param.beta

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.beta * x)


@register("SeLu")
class SeLu(Module):
    """top = 1.0507 bottom where positive, else 1.0507 * 1.6733 * (exp(bottom) - 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.selu(x)


@register("HardSigmoid")
class HardSigmoid(Module):
    """top = bottom / 6 + 0.5, between 0 and 1."""

    numbers = Numbers.ROUNDED

    def forward(self, x: Tensor) -> Tensor:
        return F.hardsigmoid(x)


@register("HardSwish")
class HardSwish(Module):
    """top = bottom * HardSigmoid(bottom)."""

    numbers = Numbers.ROUNDED

    def forward(self, x: Tensor) -> Tensor:
        return F.hardswish(x)


@register("Mish")
class Mish(Module):
    """top = bottom * tanh(log(1 + exp(bottom)))."""

    numbers = Numbers.ROUNDED

    def forward(self, x: Tensor) -> Tensor:
        return F.mish(x)
