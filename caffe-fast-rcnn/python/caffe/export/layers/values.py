"""ONNX nodes of the layers that compute element by element, with blobs, or per item."""
import functools
from collections.abc import Sequence

import numpy as np

from caffe.core.types import Shape
from caffe.export.layers.scope import Scope
from caffe.export.layers.statistics import batch_statistics
from caffe.proto.caffe_pb2 import TEST


def affine(scope: Scope, x: str, scale: float, shift: float) -> str:
    """scale * x + shift, without nodes for a scale of 1 or a shift of 0."""
    x = x if scale == 1 else scope.op("Mul", x, scope.number(scale))
    return x if shift == 0 else scope.op("Add", x, scope.number(shift))


def relu(scope: Scope, x: str) -> str:
    slope = scope.module.slope
    return scope.op("LeakyRelu", x, alpha=slope) if slope else scope.op("Relu", x)


def relu6(scope: Scope, x: str) -> str:
    return scope.op("Min", relu(scope, x), scope.number(6))


def prelu(scope: Scope, x: str) -> str:
    axes = len(scope.bottom_shapes[0])
    return scope.op("PRelu", x, scope.blob(0, "weight", (-1, *(1,) * (axes - 2))))


def elu(scope: Scope, x: str) -> str:
    return scope.op("Elu", x, alpha=scope.module.alpha)


def swish(scope: Scope, x: str) -> str:
    return scope.op("Mul", x, scope.op("Sigmoid", affine(scope, x, scope.module.beta, 0)))


def clip(scope: Scope, x: str) -> str:
    return scope.op("Clip", x, scope.number(scope.module.min), scope.number(scope.module.max))


def threshold(scope: Scope, x: str) -> str:
    above = scope.op("Greater", x, scope.number(scope.module.threshold))
    return scope.op("Cast", above, to=1)     # 1: float


def power(scope: Scope, x: str) -> str:
    """(shift + scale x) ^ power; with power or scale 0 a constant, for any x."""
    module = scope.module
    if module.power == 0 or module.scale == 0:
        value = np.float32(module.shift) ** np.float32(module.power)
        return scope.op("Expand", scope.number(float(value)), scope.op("Shape", x))
    y = affine(scope, x, module.scale, module.shift)
    return y if module.power == 1 else scope.op("Pow", y, scope.number(module.power))


def exp(scope: Scope, x: str) -> str:
    module = scope.module
    return scope.op("Exp", affine(scope, x, module.log_base * module.scale,
                                  module.log_base * module.shift))


def log(scope: Scope, x: str) -> str:
    module = scope.module
    return affine(scope, scope.op("Log", affine(scope, x, module.scale, module.shift)),
                  1 / module.log_base, 0)


def dropout(scope: Scope, x: str) -> str:
    """The identity at test time; without scale_train a factor."""
    if scope.module.drops:
        raise scope.error("dropping values at random")
    return affine(scope, x, 1 if scope.module.scale_train else 1 - scope.module.ratio, 0)


def eltwise(scope: Scope, *bottoms: str) -> str:
    p = scope.layer.param.eltwise_param
    if p.operation == p.MAX:
        return scope.op("Max", *bottoms)
    if p.operation == p.PROD:
        return functools.reduce(lambda a, b: scope.op("Mul", a, b), bottoms)
    coefficients = scope.module.coeff or (1,) * len(bottoms)
    return scope.op("Sum", *(affine(scope, x, c, 0) for c, x in zip(coefficients, bottoms)))


def scale(scope: Scope, x: str, factor: str | None = None) -> str:
    if factor is None:
        factor = scope.blob(0, "weight", _place(scope, scope.layer.blobs[0].shape))
    else:
        factor = scope.reshape(factor, _copied(scope, scope.bottom_shapes[1]))
    y = scope.op("Mul", x, factor)
    if not scope.module.has_bias:
        return y
    bias = scope.layer.blobs[len(scope.layer.blobs) - 1]
    return scope.op("Add", y, scope.blob(len(scope.layer.blobs) - 1, "bias",
                                         _place(scope, bias.shape)))


def bias(scope: Scope, x: str, summand: str | None = None) -> str:
    if summand is None:
        summand = scope.blob(0, "bias", _place(scope, scope.layer.blobs[0].shape))
    else:
        summand = scope.reshape(summand, _copied(scope, scope.bottom_shapes[1]))
    return scope.op("Add", x, summand)


def _place(scope: Scope, shape: Sequence[int]) -> Shape:
    """The shape with which a blob of `shape` broadcasts to the bottom from `axis` on."""
    axes = len(scope.bottom_shapes[0])
    axis = scope.module.axis % axes if shape else axes
    return (*shape, *(1,) * (axes - axis - len(shape)))


def _copied(scope: Scope, shape: Sequence[int]) -> Shape:
    """`_place` of a bottom, whose axes keep their lengths: for Reshape, where 0 copies."""
    return (*(0,) * len(shape), *_place(scope, shape)[len(shape):])


def batch_norm(scope: Scope, x: str) -> str:
    if not scope.module.use_global:
        raise scope.error("normalising with the statistics of the batch itself")
    mean, variance = (stat.cpu().numpy() for stat in batch_statistics(scope.layer))
    if len(scope.bottom_shapes[0]) < 2:
        raise scope.error("a bottom with a single axis")
    learned = [blob.tensor.detach().cpu().numpy() for blob in scope.layer.blobs[3:]]
    scale, bias = learned or (np.ones_like(mean), np.zeros_like(mean))
    return scope.op("BatchNormalization", x, scope.constant(scale), scope.constant(bias),
                    scope.constant(mean, "running_mean"),
                    scope.constant(variance, "running_var"), epsilon=scope.module.eps)


def mvn(scope: Scope, x: str) -> str:
    """(x - mean) / (standard deviation + eps) over the axes behind the channels (or the items)."""
    module, axes = scope.module, len(scope.bottom_shapes[0])
    over = list(range(1 if module.across else 2, axes))
    centred = scope.op("Sub", x, _mean(scope, x, over))
    if not module.variance:
        return centred
    variance = _mean(scope, scope.op("Mul", centred, centred), over)
    return scope.op("Div", centred, affine(scope, scope.op("Sqrt", variance), 1, module.eps))


def _mean(scope: Scope, x: str, over: list[int]) -> str:
    """The mean over axes; over none each value is its own (ONNX takes none for all)."""
    return scope.reduce("ReduceMean", x, over) if over else x


def normalize(scope: Scope, x: str) -> str:
    """x / sqrt(eps + sum of squares) * scale."""
    p, axes = scope.module.p, len(scope.bottom_shapes[0])
    over = range(1, axes) if p.across_spatial else [1]
    square = affine(scope, scope.reduce("ReduceSum", scope.op("Mul", x, x), over), 1, p.eps)
    unit = scope.op("Div", x, scope.op("Sqrt", square))
    return scope.op("Mul", unit, scope.blob(0, "weight", (-1, *(1,) * (axes - 2))))


def axpy(scope: Scope, factor: str, x: str, y: str) -> str:
    factor = scope.reshape(factor, (0, 0, *(1,) * (len(scope.bottom_shapes[1]) - 2)))
    return scope.op("Add", scope.op("Mul", factor, x), y)


def softmax(scope: Scope, x: str) -> str:
    return scope.op("Softmax", x, axis=scope.module.axis)


def inner_product(scope: Scope, x: str) -> str:
    module, blobs = scope.module, scope.layer.blobs
    rows = scope.op("Flatten", x, axis=module.axis)
    bias_of = [scope.blob(1, "bias")] if len(blobs) > 1 else []
    top = scope.op("Gemm", rows, scope.blob(0, "weight"), *bias_of,
                   transB=0 if module.transpose else 1)
    if module.axis == 1:
        return top
    scope.fixed(f"an InnerProduct with axis {module.axis}")
    return scope.reshape(top, scope.top_shapes[0])


def embed(scope: Scope, index: str) -> str:
    rows = scope.op("Gather", scope.blob(0, "weight"), scope.op("Cast", index, to=7))  # 7: int64
    return scope.op("Add", rows, scope.blob(1, "bias")) if len(scope.layer.blobs) > 1 else rows


def bn(scope: Scope, x: str) -> str:
    """PSPNet's, or SegNet's with bn_mode INFERENCE."""
    module, place = scope.module, (-1, *(1,) * (len(scope.bottom_shapes[0]) - 2))
    if module.of_segnet and module.p.bn_mode == module.p.INFERENCE:
        return scope.op("Add", scope.op("Mul", x, scope.blob(0, "scale", place)),
                        scope.blob(1, "shift", place))
    if module.of_segnet or not module.kept:
        raise scope.error("normalising with the statistics of the bottom itself")
    return scope.op("BatchNormalization", x, *(scope.blob(i, name, (-1,)) for i, name in enumerate(
        ("slope", "bias", "mean", "variance"))), epsilon=module.p.eps)


def mish(scope: Scope, x: str) -> str:
    return scope.op("Mul", x, scope.op("Tanh", scope.op("Softplus", x)))


def hard_sigmoid(scope: Scope, x: str) -> str:
    return scope.op("HardSigmoid", x, alpha=1 / 6, beta=0.5)


def hard_swish(scope: Scope, x: str) -> str:
    return scope.op("Mul", x, hard_sigmoid(scope, x))


def selu(scope: Scope, x: str) -> str:
    return scope.op("Selu", x)


def selu_dropout(scope: Scope, x: str) -> str:
    """The identity at test time."""
    if scope.layer.phase != TEST:
        raise scope.error("dropping values at random")
    return scope.op("Identity", x)


def mask_pooling(scope: Scope, features: str, mask: str) -> str:
    return scope.op("Mul", features, mask)
