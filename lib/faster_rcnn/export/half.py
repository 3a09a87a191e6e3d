"""A detector whose layers compute with half precision (float16).

Boxes and scores stay float32: a coordinate of 1000 would be rounded to half a pixel.
"""
from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Operators of a net's layers that boxes and scores do not go through
_LAYERS = {"Conv", "ConvTranspose", "Gemm", "Relu", "LeakyRelu", "PRelu", "Elu", "MaxPool",
           "AveragePool", "GlobalMaxPool", "GlobalAveragePool", "Flatten"}
# These belong to the layers where all that they join does
_JOINTS = {"Add", "Mul", "Sum", "Max", "Min", "Concat", "BatchNormalization", "Sigmoid", "Identity"}
_LARGEST = float(np.finfo(np.float16).max)


def half_precision(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose layers have float16 weights and results; inputs and outputs stay as they are.

    Weights beyond float16's range become its largest numbers.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    constants = {entry.name: entry for entry in graph.initializer}
    halves = _layer_results(graph.node, constants)
    nodes: list[onnx.NodeProto] = []
    casts: dict[str, str] = {}
    for node in graph.node:
        to_half = node.output[0] in halves
        for place, name in enumerate(node.input):
            if not name or to_half == (name in halves):
                continue
            if to_half and name in constants:
                node.input[place] = _half_constant(graph, constants, name)
            elif to_half or name in halves:
                node.input[place] = _cast(nodes, casts, name, to_half)
        nodes.append(node)
    for output in graph.output:
        if output.name in halves:
            raise ValueError(f"the output {output.name} is made by a layer")
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unused(graph)
    return copy


def _layer_results(nodes: Iterable[onnx.NodeProto], constants: Iterable[str]) -> set[str]:
    """The values that layers compute in half precision."""
    known, found = set(constants), set()
    for node in nodes:
        values = [name for name in node.input if name and name not in known]
        joined = node.op_type in _JOINTS and values and all(name in found for name in values)
        if node.op_type in _LAYERS or joined:
            found.update(node.output)
    return found


def _half_constant(graph: onnx.GraphProto, constants: dict[str, onnx.TensorProto],
                   name: str) -> str:
    """The name of a constant's twin in float16; other types than float32 have none."""
    entry = constants[name]
    if entry.data_type != TensorProto.FLOAT:
        return name
    twin = f"{name}@half"
    if twin not in constants:
        values = np.clip(numpy_helper.to_array(entry), -_LARGEST, _LARGEST).astype(np.float16)
        graph.initializer.append(numpy_helper.from_array(values, twin))
        constants[twin] = graph.initializer[-1]
    return twin


def _cast(nodes: list[onnx.NodeProto], casts: dict[str, str], name: str, to_half: bool) -> str:
    """A value in the other precision; a node is added at the first use."""
    if name not in casts:
        casts[name] = f"{name}@{'half' if to_half else 'float'}"
        nodes.append(helper.make_node("Cast", [name], [casts[name]], name=casts[name],
                                      to=TensorProto.FLOAT16 if to_half else TensorProto.FLOAT))
    return casts[name]


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    kept = [entry for entry in graph.initializer if entry.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
