"""Convolutions and products with packed weights, and with the layers that were fused into them.

PyTorch hands oneDNN the weights in Caffe's order, and oneDNN puts them into its own order each
time. Packed once, and with the sum and the activation on the way out, the same convolution takes
0.7 to 0.95 of the time. Where our own operators are faster, they take oneDNN's place.
"""
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.core import state
from caffe.layer_types.common.module import Shape
from caffe.layer_types.maps.convolution import Convolution
from caffe.layer_types.maps.windows import Windows
from caffe.layer_types.values.dense import InnerProduct
from caffe.nets.plan.chains import Activation, Chain
from caffe.nets.plan.folding import factor_and_shift, scaled
from caffe.operators import depthwise, few_rows, image_conv, pointwise, winograd
from caffe.runners.module_runner import ModuleRunner

# (bottom, residual or None, None or where the top may be written to) -> top
Kernel = Callable[[Tensor, Tensor | None, Tensor | None], Tensor]
_PACKED_ROWS = 16       # a product of fewer rows is bound by reading the weights, packed or not
_IN_PLACE: dict[str, Callable[..., Tensor]] = {
    "relu": torch.relu_, "leaky_relu": F.leaky_relu_, "hardtanh": torch.clamp_,
    "sigmoid": torch.sigmoid_, "tanh": torch.tanh_}
_PLAIN = Activation("none")
_LIMITS = {"none": (-math.inf, math.inf), "relu": (0.0, math.inf)}  # and hardtanh's own


class Weights(NamedTuple):
    """The host's weights, with BatchNorm, Scale and Bias multiplied into them."""

    weight: Tensor
    bias: Tensor | None


def folded_weights(chain: Chain) -> Weights:
    """The Weights of a chain: the layer's own tensors where there is nothing to fold."""
    weight, *bias = _values(chain.host)
    if isinstance(chain.host.module, InnerProduct) and chain.host.module.transpose:
        weight = weight.t()
    if not chain.affine:
        return Weights(weight, bias[0] if bias else None)
    factor, shift = np.ones(len(weight)), bias[0].double().numpy() if bias else np.zeros(1)
    for layer in chain.affine:
        more, moved = factor_and_shift(layer.param, [blob.numpy() for blob in _values(layer)])
        factor, shift = factor * more, shift * more + moved
    folded = torch.from_numpy(scaled(chain.host.param, weight.double().numpy(), factor))
    return Weights(folded.to(torch.float32, memory_format=_format(weight)),
                   torch.from_numpy(np.broadcast_to(shift, len(weight)).astype(np.float32)))


def _values(layer: ModuleRunner) -> list[Tensor]:
    return [blob.values.get().detach().view(blob.shape) for blob in layer.blobs]


def _format(weight: Tensor) -> torch.memory_format:
    return torch.channels_last if weight.dim() == 4 else torch.contiguous_format


def make_kernel(chain: Chain, weights: Weights, shape: Shape, stride: tuple[int, ...]) -> Kernel:
    """The function that computes the chain's top from bottoms of this shape.

    stride: with which a convolution is carried out (see thinning.py).
    """
    module, activation = chain.host.module, chain.activation or _PLAIN
    factors = chain.host.factors
    weights = Weights(weights.weight.to(factors),
                      None if weights.bias is None else weights.bias.to(factors))
    if isinstance(module, InnerProduct):
        return _product(module, weights, activation, chain.residual is not None, shape)
    w = module.windows._replace(stride=stride)
    tile = _winograd_tile(module, w, shape, factors)
    if tile is not None:
        return _in_groups(module, weights, lambda part: _winograd(w, part, activation, tile))
    if factors == torch.float32 and _takes_pointwise(module, w, activation):
        return _pointwise(w, weights, activation)
    if factors == torch.float32 and chain.residual is None and _takes_depthwise(module, w,
                                                                                activation):
        return _depthwise(w, weights, activation)
    if factors == torch.float32 and chain.residual is None and _takes_image_conv(module, w,
                                                                                 activation):
        return _image_conv(w, weights, activation)
    return _convolution(module, w, weights, activation, chain.residual is not None, shape)


def _winograd_tile(module: Convolution, w: Windows, shape: Shape,
                   factors: torch.dtype) -> int | None:
    """The tile of Winograd's algorithm, or None where another way is faster."""
    if not (w.kernel == (3, 3) and w.stride == w.dilation == (1, 1) and state.allows_winograd()):
        return None
    height, width = w.counts(shape[2:])
    return winograd.packed_tile(
        module.channels // module.group, module.num_output // module.group, shape[0] * height,
        width, torch.get_num_threads(), factors)


def _winograd(w: Windows, weights: Weights, activation: Activation, tile: int) -> Kernel:
    packed, bias = winograd.winograd_pack(weights.weight, tile), weights.bias
    relu = activation.name == "relu"
    after = None if relu else _IN_PLACE.get(activation.name)

    def run(x: Tensor, residual: Tensor | None, out: Tensor | None) -> Tensor:
        top = winograd.winograd_conv(x, packed, bias, w.pad, relu, residual, out)
        return top if after is None else after(top, *activation.scalars)
    return run


def _in_groups(module: Convolution, weights: Weights, make: Callable[[Weights], Kernel]) -> Kernel:
    """The kernel that `make` makes of the weights; for groups of channels, one of each."""
    groups = module.group
    if groups == 1:
        return make(weights)
    biases = (None,) * groups if weights.bias is None else weights.bias.chunk(groups)
    kernels = [make(Weights(*part)) for part in zip(weights.weight.chunk(groups), biases)]

    def run(x: Tensor, residual: Tensor | None, out: Tensor | None) -> Tensor:
        if out is None:
            out = torch.empty(module.top_shapes([tuple(x.shape)])[0] or (), dtype=x.dtype,
                              memory_format=torch.channels_last)
        inputs = x.contiguous(memory_format=torch.channels_last).chunk(groups, 1)
        added = (None,) * groups if residual is None else residual.chunk(groups, 1)
        for kernel, *operands in zip(kernels, inputs, added, out.chunk(groups, 1)):
            kernel(*operands)
        return out
    return run


def _takes_pointwise(module: Convolution, w: Windows, activation: Activation) -> bool:
    return (w.kernel == (1, 1) and w.pad == (0, 0) and module.group == 1
            and _is_limit(activation)
            and pointwise.pays(module.num_output))


def _pointwise(w: Windows, weights: Weights, activation: Activation) -> Kernel:
    packed, bias = pointwise.pointwise_pack(weights.weight), weights.bias
    low, high = _limits(activation)
    rows, columns = w.stride

    def run(x: Tensor, residual: Tensor | None, out: Tensor | None) -> Tensor:
        x = x if rows == columns == 1 else x[:, :, ::rows, ::columns]
        return pointwise.pointwise_conv(x, packed, bias, residual, low, high, out)
    return run


def _is_limit(activation: Activation) -> bool:
    """Whether an activation only cuts off what is too small or too large."""
    return activation.name in (*_LIMITS, "hardtanh")


def _limits(activation: Activation) -> tuple[float, float]:
    low, high = _LIMITS.get(activation.name) or activation.scalars
    return low, high


def _takes_depthwise(module: Convolution, w: Windows, activation: Activation) -> bool:
    return (module.group == module.channels == module.num_output
            and w.kernel in ((3, 3), (5, 5)) and w.stride in ((1, 1), (2, 2))
            and w.dilation == (1, 1) and _is_limit(activation) and depthwise.pays(module.channels))


def _depthwise(w: Windows, weights: Weights, activation: Activation) -> Kernel:
    packed, bias = depthwise.depthwise_pack(weights.weight), weights.bias
    low, high = _limits(activation)

    def run(x: Tensor, residual: Tensor | None, out: Tensor | None) -> Tensor:
        return depthwise.depthwise_conv(x, packed, bias, w.stride[0], w.pad, low, high)
    return run


def _takes_image_conv(module: Convolution, w: Windows, activation: Activation) -> bool:
    return (module.group == 1 and w.dilation == (1, 1) and _is_limit(activation)
            and image_conv.pays(module.channels, w.kernel))


def _image_conv(w: Windows, weights: Weights, activation: Activation) -> Kernel:
    packed, bias = image_conv.image_conv_pack(weights.weight), weights.bias
    low, high = _limits(activation)

    def run(x: Tensor, residual: Tensor | None, out: Tensor | None) -> Tensor:
        return image_conv.image_conv(x, packed, bias, w.stride, w.pad, low, high)
    return run


def _convolution(module: Convolution, w: Windows, weights: Weights, activation: Activation,
                 adds: bool, shape: Shape) -> Kernel:
    bias = weights.bias
    pad, stride, dilation = list(w.pad), list(w.stride), list(w.dilation)
    packed = torch._C._nn.mkldnn_reorder_conv2d_weight(
        weights.weight.to_mkldnn(), pad, stride, dilation, module.group, list(shape))
    operator = torch.ops.mkldnn._convolution_pointwise
    options = (packed, bias, pad, stride, dilation, module.group)
    if adds:
        return _sum(operator.binary, options, activation)
    name, scalars = activation.name, list(activation.scalars)

    def run(x: Tensor, residual: Tensor | None, out: Tensor | None) -> Tensor:
        return operator.default(x.contiguous(memory_format=torch.channels_last), *options, name,
                                scalars, "")
    return run


def _sum(operator: Callable[..., Tensor], options: tuple, activation: Activation) -> Kernel:
    """A convolution that adds the residual; oneDNN does a ReLU after that, and nothing else."""
    relu = "relu" if activation.name == "relu" else None
    after = None if relu else _IN_PLACE.get(activation.name)

    def run(x: Tensor, residual: Tensor | None, out: Tensor | None) -> Tensor:
        top = operator(x.contiguous(memory_format=torch.channels_last), residual, *options, "add",
                       1.0, relu, [], None)
        return top if after is None else after(top, *activation.scalars)
    return run


def _product(module: InnerProduct, weights: Weights, activation: Activation, adds: bool,
             shape: Shape) -> Kernel:
    weight, bias = weights
    if not adds and _is_limit(activation) and few_rows.takes(shape[0], weight):
        return _few_rows(weights, activation)
    after = _IN_PLACE.get(activation.name)
    if (shape[0] < _PACKED_ROWS and weight.dtype == torch.float32) or adds:
        def run(x: Tensor, residual: Tensor | None, out: Tensor | None) -> Tensor:
            top = F.linear(x.flatten(1), weight, bias)
            if residual is not None:
                top += residual
            return top if after is None else after(top, *activation.scalars)
        return run
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), shape[0])
    operator = torch.ops.mkldnn._linear_pointwise.default
    name, scalars = activation.name, list(activation.scalars)

    def run_packed(x: Tensor, residual: Tensor | None, out: Tensor | None) -> Tensor:
        return operator(x.flatten(1), packed, bias, name, scalars, "")
    return run_packed


def _few_rows(weights: Weights, activation: Activation) -> Kernel:
    low, high = _limits(activation)

    def run(x: Tensor, residual: Tensor | None, out: Tensor | None) -> Tensor:
        return few_rows.few_rows_product(x.flatten(1), *weights, low, high)
    return run
