"""What ONNX's operators are in Caffe: functions that add layers to a Builder."""
import math
from collections.abc import Callable

import numpy as np

from caffe.layer_types.maps.pooling import make_grid
from faster_rcnn.pretrained.from_onnx.graph import Node
from faster_rcnn.pretrained.from_onnx.net import Builder

Pair = tuple[int, int]


def convolution(net: Builder, node: Node) -> None:
    weight = net.constant(node, 1)
    if weight is None or weight.ndim != 4:
        raise node.error("only convolutions over height and width are known")
    bias = net.constant(node, 2)
    above, left = _even_pads(node)
    stride, dilation = node.get("strides", [1, 1]), node.get("dilations", [1, 1])
    if len(set(dilation)) > 1:
        raise node.error(f"dilations {dilation} differ")
    net.add(node, "Convolution", [net.blob(node)], [weight] if bias is None else [weight, bias],
            convolution_param={
                "num_output": len(weight), "bias_term": bias is not None,
                "kernel_h": weight.shape[2], "kernel_w": weight.shape[3], "pad_h": above,
                "pad_w": left, "stride_h": stride[0], "stride_w": stride[1],
                "dilation": [dilation[0]], "group": node.get("group", 1)})


def _pads(node: Node) -> tuple[Pair, Pair]:
    """Cells before and behind, along height and width."""
    auto = node.get("auto_pad", b"NOTSET")
    if auto not in (b"NOTSET", b"VALID"):
        raise node.error(f"auto_pad {auto.decode()}; write the pads out")
    top, left, bottom, right = node.get("pads", [0, 0, 0, 0])
    return (top, left), (bottom, right)


def _even_pads(node: Node) -> Pair:
    before, behind = _pads(node)
    if before != behind:
        raise node.error(f"its pads differ before and behind: {node.get('pads', [])}")
    return before


def max_pool(net: Builder, node: Node) -> None:
    if len(node.outputs) > 1 and node.outputs[1]:
        raise node.error("its second output, the places")
    if set(node.get("dilations", [1])) != {1}:
        raise node.error("dilated windows")
    before, behind = _pads(node)
    _pool(net, node, "MAX", before, behind)


def average_pool(net: Builder, node: Node) -> None:
    pads, ceil = _even_pads(node), bool(node.get("ceil_mode", 0))
    if any(pads) and (ceil or not node.get("count_include_pad", 0)):
        raise node.error("its pads do not count (count_include_pad), in Caffe they do")
    _pool(net, node, "AVE", pads, pads)


def _pool(net: Builder, node: Node, method: str, before: Pair, behind: Pair) -> None:
    """A Pooling that rounds so that there are as many windows as in ONNX."""
    kernel = tuple(node.attributes["kernel_shape"])
    if len(kernel) != 2:
        raise node.error("only windows over height and width are known")
    stride = tuple(node.get("strides", [1, 1]))
    size = net.shape(node)[2:]
    rounds = math.ceil if node.get("ceil_mode", 0) else math.floor
    spans = [(n + b + e - k) / s for n, b, e, k, s in zip(size, before, behind, kernel, stride)]
    counts = [rounds(span) + 1 for span in spans]
    if rounds is math.ceil:     # a window must begin inside of the map or the pad before it
        counts = [count - ((count - 1) * s >= n + b) for count, s, n, b in
                  zip(counts, stride, size, before)]
    for up in (False, True):
        if list(make_grid(size, kernel, stride, before, up).counts) == counts:
            break
    else:
        raise node.error(f"pads {node.get('pads', [])} give other windows than Caffe's rounding")
    net.add(node, "Pooling", [net.blob(node)], pooling_param={
        "pool": method, "kernel_h": kernel[0], "kernel_w": kernel[1], "stride_h": stride[0],
        "stride_w": stride[1], "pad_h": before[0], "pad_w": before[1],
        **({} if up else {"round_mode": "FLOOR"})})


def global_pool(method: str) -> Callable[[Builder, Node], None]:
    """The function of a pooling over whole maps."""
    def add(net: Builder, node: Node) -> None:
        net.add(node, "Pooling", [net.blob(node)],
                pooling_param={"pool": method, "global_pooling": True})
    return add


def reduce_mean(net: Builder, node: Node) -> None:
    axes = node.get("axes", None)
    if axes is None:
        given = net.constant(node, 1)
        axes = [] if given is None else given.tolist()
    if len(net.shape(node)) != 4 or sorted(axis % 4 for axis in axes) != [2, 3]:
        raise node.error("only means over height and width are known")
    keeps = bool(node.get("keepdims", 1))
    top = net.add(node, "Pooling", [net.blob(node)], last=keeps,
                  pooling_param={"pool": "AVE", "global_pooling": True})
    if not keeps:
        net.add(node, "Flatten", [top])


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
    """Caffe copies and infers sizes as ONNX does."""
    sizes = net.constant(node, 1)
    if sizes is None or node.get("allowzero", 0):
        raise node.error("its sizes are missing, or 0 does not copy (allowzero)")
    net.add(node, "Reshape", [net.blob(node)],
            reshape_param={"shape": {"dim": [int(size) for size in sizes]}})


def squeeze(net: Builder, node: Node) -> None:
    """(N, C, 1, 1) to (N, C)."""
    shape = net.shape(node)
    axes = node.get("axes", None)
    if axes is None:
        given = net.constant(node, 1)
        axes = [] if given is None else given.tolist()
    if len(shape) != 4 or sorted(axis % 4 for axis in axes) != [2, 3]:
        raise node.error("only (N, C, 1, 1) to (N, C) is known")
    net.add(node, "Flatten", [net.blob(node)])


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
