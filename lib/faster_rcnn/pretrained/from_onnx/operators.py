"""What ONNX's operators are in Caffe: functions that add layers to a Builder."""
import math
from collections.abc import Callable, Sequence

import numpy as np

from faster_rcnn.pretrained.from_onnx.graph import Node
from faster_rcnn.pretrained.from_onnx.net import Builder


def reduce_mean(net: Builder, node: Node) -> None:
    """Means over the last axes; those over height and width are a pooling."""
    axes, shape = _axes(net, node), net.shape(node)
    count = len(shape) - len(axes)
    if not 0 < count < len(shape) or axes != list(range(count, len(shape))):
        raise node.error("only means over the last axes are known, such as height and width")
    keeps, x = bool(node.get("keepdims", 1)), [net.blob(node)]
    if (len(shape), count) == (4, 2):
        top = net.add(node, "Pooling", x, last=keeps,
                      pooling_param={"pool": "AVE", "global_pooling": True})
        if not keeps:
            net.add(node, "Flatten", [top])
        return
    top = net.add(node, "Reduction", x, last=not keeps,
                  reduction_param={"operation": "MEAN", "axis": count})
    if keeps:
        _reshape(net, node, top, [*[0] * count, *[1] * len(axes)])


def _axes(net: Builder, node: Node) -> list[int]:
    """The axes that a node names, in an attribute or an input, from the first one on."""
    axes, count = node.get("axes", None), len(net.shape(node))
    if axes is None:
        given = net.constant(node, 1)
        axes = [] if given is None else given.reshape(-1).tolist()
    return sorted(axis % count for axis in axes)


def _reshape(net: Builder, node: Node, blob: str, sizes: Sequence[int]) -> None:
    net.add(node, "Reshape", [blob],
            reshape_param={"shape": {"dim": [int(size) for size in sizes]}})


def gemm(net: Builder, node: Node) -> None:
    """alpha x W + beta b."""
    weight, bias = net.constant(node, 1), net.constant(node, 2)
    if weight is None or node.get("transA", 0) or len(net.shape(node)) != 2:
        raise node.error("only products of (N, K) with a constant matrix are known")
    weight = weight if node.get("transB", 0) else weight.T
    arrays = [weight * np.float32(node.get("alpha", 1.0))]
    if bias is not None:
        if bias.size not in (1, len(weight)):
            raise node.error(f"a summand of shape {bias.shape}")
        bias = np.broadcast_to(bias.reshape(-1), len(weight))
        arrays.append(bias * np.float32(node.get("beta", 1.0)))
    _inner_product(net, node, arrays)


def mat_mul(net: Builder, node: Node) -> None:
    weight = net.constant(node, 1)
    if weight is None or weight.ndim != 2 or len(net.shape(node)) != 2:
        raise node.error("only products of (N, K) with a constant matrix are known")
    _inner_product(net, node, [weight.T])


def _inner_product(net: Builder, node: Node, arrays: list[np.ndarray]) -> None:
    net.add(node, "InnerProduct", [net.blob(node)], arrays, inner_product_param={
        "num_output": len(arrays[0]), "bias_term": len(arrays) > 1})


def batch_norm(net: Builder, node: Node) -> None:
    if node.get("training_mode", 0):
        raise node.error("training_mode")
    scale, bias, mean, variance = (net.constant(node, i) for i in range(1, 5))
    top = net.add(node, "BatchNorm", [net.blob(node)], [mean, variance, np.ones(1)], last=False,
                  batch_norm_param={"use_global_stats": True, "eps": node.get("epsilon", 1e-5)})
    net.add(node, "Scale", [top], [scale, bias], scale_param={"bias_term": True})


def add(net: Builder, node: Node) -> None:
    if any(net.is_constant(node, i) for i in range(2)):
        _add_constant(net, node)
    else:
        eltwise("SUM")(net, node)


def _add_constant(net: Builder, node: Node) -> None:
    place = 1 if net.is_constant(node, 1) else 0
    values = net.constant(node, place)
    assert values is not None
    if not net.add_bias(node, values):
        _affine(net, node, 1 - place, None, values)


def subtract(net: Builder, node: Node) -> None:
    values = _second(net, node)
    _affine(net, node, 0, None, -values)


def divide(net: Builder, node: Node) -> None:
    values = _second(net, node)
    _affine(net, node, 0, 1 / values, None)


def multiply(net: Builder, node: Node) -> None:
    if not any(net.is_constant(node, i) for i in range(2)):
        eltwise("PROD")(net, node)
        return
    place = 1 if net.is_constant(node, 1) else 0
    _affine(net, node, 1 - place, net.constant(node, place), None)


def _second(net: Builder, node: Node) -> np.ndarray:
    values = net.constant(node, 1)
    if values is None:
        raise node.error("its second input is missing")
    return values


def _affine(net: Builder, node: Node, index: int, factor: np.ndarray | None,
            summand: np.ndarray | None) -> None:
    """x * factor + summand, of numbers or of channels."""
    given = factor if factor is not None else summand
    assert given is not None
    x, shape = net.blob(node, index), net.shape(node, index)
    if given.size == 1:
        name, value = ("shift", summand) if factor is None else ("scale", factor)
        assert value is not None
        net.add(node, "Power", [x], power_param={name: float(value.reshape(-1)[0])})
        return
    channels = (1,) * (len(shape) - given.ndim) + given.shape
    if len(shape) < 2 or channels != (1, shape[1], *(1,) * (len(shape) - 2)):
        raise node.error(f"a constant of shape {given.shape} for values of shape {shape}")
    flat = given.reshape(-1)
    if factor is None:
        net.add(node, "Bias", [x], [flat])
    else:
        net.add(node, "Scale", [x], [flat], scale_param={"bias_term": False})


def eltwise(operation: str) -> Callable[[Builder, Node], None]:
    """The function of an operator on equal shapes."""
    def add_layer(net: Builder, node: Node) -> None:
        if len(node.inputs) == 1:
            net.rename(node)
            return
        shapes = {net.shape(node, i) for i in range(len(node.inputs))}
        if len(shapes) > 1:
            raise node.error("its inputs have the shapes "
                             + " and ".join(map(str, sorted(shapes))))
        net.add(node, "Eltwise", [net.blob(node, i) for i in range(len(node.inputs))],
                eltwise_param={"operation": operation})
    return add_layer


def concat(net: Builder, node: Node) -> None:
    net.add(node, "Concat", [net.blob(node, i) for i in range(len(node.inputs))],
            concat_param={"axis": node.attributes["axis"]})


def softmax(net: Builder, node: Node) -> None:
    shape = net.shape(node)
    axis = node.get("axis", -1 if net.graph.opset >= 13 else 1) % len(shape)
    if net.graph.opset < 13 and math.prod(shape[axis + 1:]) > 1:
        raise node.error(f"over the axes from {axis} on (opset {net.graph.opset})")
    net.add(node, "Softmax", [net.blob(node)], softmax_param={"axis": axis})


def lrn(net: Builder, node: Node) -> None:
    net.add(node, "LRN", [net.blob(node)], lrn_param={
        "local_size": node.attributes["size"], "alpha": node.get("alpha", 1e-4),
        "beta": node.get("beta", 0.75), "k": node.get("bias", 1.0)})


def flatten(net: Builder, node: Node) -> None:
    if node.get("axis", 1) != 1:
        raise node.error(f"axis {node.attributes['axis']}")
    net.add(node, "Flatten", [net.blob(node)])


def reshape(net: Builder, node: Node) -> None:
    """Caffe copies and infers sizes as ONNX does. PyTorch writes allowzero without any 0."""
    sizes = net.constant(node, 1)
    if sizes is None or node.get("allowzero", 0) and not sizes.all():
        raise node.error("its sizes are missing, or 0 does not copy (allowzero)")
    _reshape(net, node, net.blob(node), sizes.tolist())


def squeeze(net: Builder, node: Node) -> None:
    """Leaves out axes of size 1, but not that of the items."""
    shape = net.shape(node)
    axes = _axes(net, node)
    if not axes or axes[0] == 0 or any(shape[axis] != 1 for axis in axes):
        raise node.error(f"the axes {axes} of the shape {shape}; name axes of size 1 behind the "
                         "first one")
    rest = [size for axis, size in enumerate(shape) if axis > axes[0] and axis not in axes]
    _reshape(net, node, net.blob(node), [*[0] * axes[0], *rest])


def clip(net: Builder, node: Node) -> None:
    if net.graph.opset < 11:
        low, high = node.get("min", -math.inf), node.get("max", math.inf)
    else:
        bounds = [net.constant(node, i) for i in (1, 2)]
        low, high = (default if value is None else float(value.reshape(-1)[0])
                     for value, default in zip(bounds, (-math.inf, math.inf)))
    x = [net.blob(node)]
    if low == 0 and high >= 3e38:
        net.add(node, "ReLU", x)
    elif (low, high) == (0, 6):
        net.add(node, "ReLU6", x)
    else:
        least, most = max(low, -3e38), min(high, 3e38)
        net.add(node, "Clip", x, clip_param={"min": least, "max": most})


def leaky_relu(net: Builder, node: Node) -> None:
    net.add(node, "ReLU", [net.blob(node)],
            relu_param={"negative_slope": node.get("alpha", 0.01)})


def same(net: Builder, node: Node) -> None:
    """Operators that do nothing at test time."""
    if node.kind == "Dropout" and len(node.inputs) > 2 and node.inputs[2]:
        training = net.constant(node, 2)
        if training is not None and training.any():
            raise node.error("training_mode")
    net.rename(node)


def plain(kind: str) -> Callable[[Builder, Node], None]:
    """The function of an operator without parameters."""
    def add_layer(net: Builder, node: Node) -> None:
        net.add(node, kind, [net.blob(node)])
    return add_layer
