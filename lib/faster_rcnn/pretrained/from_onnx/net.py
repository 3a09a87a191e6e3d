"""A Caffe net that is made of an ONNX graph, layer by layer."""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf import json_format

from caffe.proto.caffe_pb2 import LayerParameter, NetParameter
from faster_rcnn.pretrained.from_onnx.graph import Graph, Node
from faster_rcnn.pretrained.reading.imported import Layer


class Builder:
    """The net so far.

    Attributes: graph; message, the NetParameter; layers, the arrays [(name, type, [array])]
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.message = NetParameter(name=graph.name)
        self.layers: list[Layer] = []
        self._blobs: dict[str, str] = {}        # value of the graph -> blob
        self._names: set[str] = set()
        for name in graph.inputs:
            self._blobs[name] = name
            layer = self.message.layer.add(name=name, type="Input", top=[name])
            layer.input_param.shape.add(dim=[int(size or 1) for size in graph.shapes[name]])

    def blob(self, node: Node, index: int = 0) -> str:
        """The blob of an input of a node."""
        value = node.inputs[index] if index < len(node.inputs) else ""
        if value not in self._blobs:
            raise node.error(f'its input "{value}" is a constant or missing')
        return self._blobs[value]

    def shape(self, node: Node, index: int = 0) -> tuple[int, ...]:
        """The sizes of an input of a node."""
        shape = self.graph.shapes.get(node.inputs[index], ())
        if not shape or any(size is None for size in shape):
            raise node.error("the size of its input is not known; give that of the net's input "
                             "(--shape)")
        return tuple(size for size in shape if size)

    def constant(self, node: Node, index: int) -> np.ndarray | None:
        """An input of a node as an array; None where there is none."""
        value = node.inputs[index] if index < len(node.inputs) else ""
        if not value:
            return None
        if value not in self.graph.constants:
            raise node.error(f'its input "{value}" is not a constant')
        return self.graph.constants[value]

    def is_constant(self, node: Node, index: int) -> bool:
        return node.inputs[index] in self.graph.constants

    def is_read(self, value: str) -> bool:
        """Whether a layer has a value of the graph, under its own name, as a bottom."""
        return any(value in layer.bottom for layer in self.message.layer)

    def rename(self, node: Node) -> None:
        """The top of a node is its first bottom."""
        self._blobs[node.outputs[0]] = self.blob(node)

    def add(self, node: Node, kind: str, bottoms: Sequence[str], arrays: Sequence[Any] = (),
            last: bool = True, **params: Mapping[str, Any]) -> str:
        """Adds a layer with its arrays; returns its top, the node's where it is the last layer.

        params: convolution_param={...} and so on, as in a prototxt.
        """
        name = node.name if last else f"{node.name}/{kind}"
        while name in self._names:
            name += "_"
        self._names.add(name)
        top = node.outputs[0] if last else name
        layer = LayerParameter(name=name, type=kind, bottom=list(bottoms), top=[top])
        json_format.ParseDict(dict(params), layer)
        self.message.layer.append(layer)
        if arrays:
            stored = [np.ascontiguousarray(array, np.float32) for array in arrays]
            self.layers.append((name, kind, stored))
        if last:
            self._blobs[node.outputs[0]] = top
        return top

    def add_bias(self, node: Node, bias: np.ndarray) -> bool:
        """Gives the InnerProduct before a node its bias, where only the node reads it and it has
        none; whether that was done.
        """
        value = node.inputs[0] if node.inputs[0] in self._blobs else node.inputs[1]
        last = self.message.layer[-1]
        if last.type != "InnerProduct" or list(last.top) != [value] or \
                last.inner_product_param.bias_term or self.graph.readers(value) != 1 or \
                bias.shape[-1:] != (last.inner_product_param.num_output,) or \
                bias.size != bias.shape[-1]:
            return False
        last.inner_product_param.bias_term = True
        last.top[:] = [node.outputs[0]]
        self.layers[-1][2].append(np.ascontiguousarray(bias.reshape(-1), np.float32))
        self._blobs[node.outputs[0]] = node.outputs[0]
        return True
