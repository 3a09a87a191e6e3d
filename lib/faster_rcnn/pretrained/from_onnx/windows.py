"""ONNX's operators with windows in Caffe: convolutions and pooling over height and width."""
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from caffe.layer_types.maps.pooling import make_grid
from faster_rcnn.pretrained.from_onnx.graph import Node
from faster_rcnn.pretrained.from_onnx.net import Builder

Pair = tuple[int, int]


def convolution(net: Builder, node: Node) -> None:
    weight = net.constant(node, 1)
    if weight is None or weight.ndim != 4:
        raise node.error("only convolutions over height and width are known")
    bias = net.constant(node, 2)
    windows = _windows(node, weight.shape[2:])
    above, left = _even_pads(net, node, windows)
    net.add(node, "Convolution", [net.blob(node)], [weight] if bias is None else [weight, bias],
            convolution_param={
                "num_output": len(weight), "bias_term": bias is not None,
                "kernel_h": weight.shape[2], "kernel_w": weight.shape[3], "pad_h": above,
                "pad_w": left, "stride_h": windows.stride[0], "stride_w": windows.stride[1],
                "dilation": list(windows.dilation), "group": node.get("group", 1)})


class Windows(NamedTuple):
    """Kernel, stride and dilation along height and width."""

    kernel: Pair
    stride: Pair
    dilation: Pair


def _windows(node: Node, kernel: Sequence[int]) -> Windows:
    if len(kernel) != 2:
        raise node.error("only windows over height and width are known")
    stride, dilation = (tuple(node.get(name, [1, 1])) for name in ("strides", "dilations"))
    return Windows((kernel[0], kernel[1]), stride, dilation)


def _pads(net: Builder, node: Node, windows: Windows) -> tuple[Pair, Pair]:
    """Cells before and behind, along height and width."""
    auto = node.get("auto_pad", b"NOTSET").decode()
    if auto == "VALID":
        return (0, 0), (0, 0)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return _same_pads(net.shape(node)[2:], windows, auto == "SAME_UPPER")
    top, left, bottom, right = node.get("pads", [0, 0, 0, 0])
    return (top, left), (bottom, right)


def _same_pads(size: Sequence[int], windows: Windows, behind_more: bool) -> tuple[Pair, Pair]:
    """The pads for ceil(size / stride) windows; an odd cell is behind, or before."""
    totals = [max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
              for n, k, s, d in zip(size, *windows)]
    halves = [total // 2 for total in totals]
    rests = [total - half for total, half in zip(totals, halves)]
    above, left = halves if behind_more else rests
    below, right = rests if behind_more else halves
    return (above, left), (below, right)


def _even_pads(net: Builder, node: Node, windows: Windows) -> Pair:
    before, behind = _pads(net, node, windows)
    if before != behind:
        raise node.error(f"its pads differ before and behind: {[*before, *behind]}")
    return before


def max_pool(net: Builder, node: Node) -> None:
    if len(node.outputs) > 1 and node.outputs[1]:
        raise node.error("its second output, the places")
    windows = _pool_windows(node)
    _pool(net, node, "MAX", windows, *_pads(net, node, windows))


def average_pool(net: Builder, node: Node) -> None:
    windows = _pool_windows(node)
    pads, ceil = _even_pads(net, node, windows), bool(node.get("ceil_mode", 0))
    if any(pads) and (ceil or not node.get("count_include_pad", 0)):
        raise node.error("its pads do not count (count_include_pad), in Caffe they do")
    _pool(net, node, "AVE", windows, pads, pads)


def _pool_windows(node: Node) -> Windows:
    windows = _windows(node, node.attributes["kernel_shape"])
    if set(windows.dilation) != {1}:
        raise node.error("dilated windows")
    return windows


def _pool(net: Builder, node: Node, method: str, windows: Windows, before: Pair,
          behind: Pair) -> None:
    """A Pooling that rounds so that there are as many windows as in ONNX."""
    kernel, stride, _ = windows
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
        raise node.error(f"pads {[*before, *behind]} give other windows than Caffe's rounding")
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
