"""ONNX files: nodes, constants and shapes."""
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caffe.core.packages import require
from faster_rcnn.files.reading import FileError, require_file
from faster_rcnn.pretrained.from_onnx.folding import array_of, fold
from faster_rcnn.pretrained.reading.checkpoints import CheckpointError

SUFFIX = ".onnx"
_MAX_BYTES = 8 << 30


@dataclass(frozen=True)
class Node:
    """A node: operator, name, names of values, attributes."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]

    def error(self, why: str) -> CheckpointError:
        """A CheckpointError that names the node."""
        return CheckpointError(f'node "{self.name}" ({self.kind}) has no Caffe form: {why}')

    def get(self, name: str, default: Any) -> Any:
        return self.attributes.get(name, default)


@dataclass
class Graph:
    """A graph: nodes in order; constants {name: array}; shapes {name: (N, ...)}, None for a size
    that is not fixed; inputs and outputs by name.
    """

    name: str
    opset: int
    nodes: list[Node]
    constants: dict[str, np.ndarray]
    shapes: dict[str, tuple[int | None, ...]]
    inputs: list[str]
    outputs: list[str]

    def readers(self, value: str) -> int:
        """How many nodes read a value, and whether it is an output of the graph."""
        return sum(node.inputs.count(value) for node in self.nodes) + (value in self.outputs)


def read_graph(path: str, shape: Sequence[int] | None = None) -> Graph:
    """The Graph of a file; shape: of the input, where the file leaves it open.

    A first size that is not fixed is 1. Raises CheckpointError.
    """
    onnx = _package()
    try:
        require_file(path, _MAX_BYTES)
        model = onnx.load(path)
    except FileError as error:
        raise CheckpointError(str(error)) from None
    except Exception as error:      # damaged bytes make protobuf raise almost anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path}: not readable as ONNX: {reason}") from None
    graph = model.graph
    constants = {entry.name: array_of(entry) for entry in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in constants]
    if not graph.node or len(inputs) != 1:
        raise CheckpointError(f"{path}: a graph with {len(graph.node)} nodes and {len(inputs)} "
                              "inputs; expected a net with one input")
    _fix_sizes(path, inputs[0], shape)
    opset = next((entry.version for entry in model.opset_import
                  if entry.domain in ("", "ai.onnx")), 1)
    shapes = _shapes(onnx, model)
    while fold(graph, constants, shapes, opset):
        shapes = _shapes(onnx, model)
    outputs = [entry.name for entry in graph.output]
    nodes = [_node(onnx, entry) for entry in graph.node
             if not entry.output or entry.output[0] not in constants]
    return Graph(graph.name or os.path.basename(path), opset, _needed(nodes, outputs), constants,
                 shapes, [inputs[0].name], outputs)


def _needed(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """The nodes that outputs depend on: what a Caffe net makes and nobody reads is an output."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    return kept[::-1]


def _package() -> Any:
    require("onnx")
    import onnx
    import onnx.shape_inference  # noqa: F401
    return onnx


def _node(onnx: Any, entry: Any) -> Node:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in entry.attribute}
    attributes = {name: array_of(value) if isinstance(value, onnx.TensorProto) else value
                  for name, value in attributes.items()}
    kind = f"{entry.domain}.{entry.op_type}" if entry.domain not in ("", "ai.onnx") \
        else entry.op_type
    name = entry.name or next(iter(entry.output), "")
    return Node(kind, name, tuple(entry.input), tuple(entry.output), attributes)


def _fix_sizes(path: str, entry: Any, shape: Sequence[int] | None) -> None:
    """Writes the sizes into the input's description."""
    dims = entry.type.tensor_type.shape.dim
    if shape is not None:
        if len(shape) != len(dims):
            raise CheckpointError(f'{path}: its input "{entry.name}" has {len(dims)} axes, not '
                                  f"{len(shape)} (--shape)")
        for dim, size in zip(dims, shape):
            dim.dim_value = size
    elif dims and dims[0].dim_value <= 0:
        dims[0].dim_value = 1
    if not dims or not all(dim.dim_value > 0 for dim in dims):
        raise CheckpointError(f'{path}: its input "{entry.name}" has no fixed size; give it by '
                              "--shape 1,3,224,224")


def _shapes(onnx: Any, model: Any) -> dict[str, tuple[int | None, ...]]:
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception as error:      # its own errors, and protobuf's for large models
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"the sizes in the graph cannot be found: {reason}") from None
    return {entry.name: tuple(dim.dim_value or None for dim in entry.type.tensor_type.shape.dim)
            for entry in (*graph.input, *graph.value_info, *graph.output)
            if entry.type.tensor_type.HasField("shape")}
