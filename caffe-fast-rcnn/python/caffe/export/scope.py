"""The context of a layer's exporter: the layer, and methods that add ONNX nodes."""
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from onnx import helper, numpy_helper

from caffe.core.errors import LayerError
from caffe.runners.runner import LayerRunner


class Scope:
    """One layer on its way into an ONNX graph.

    Attributes:
      layer, module            the LayerRunner and its Module
      bottom_shapes, top_shapes
      nodes, initializers      what the layer adds to the graph
    Values are known by their names in the graph.
    """

    def __init__(self, layer: LayerRunner) -> None:
        self.layer = layer
        self.module: Any = getattr(layer, "module", None)
        self.bottom_shapes = [blob.shape for blob in layer.bottoms]
        self.top_shapes = [blob.shape for blob in layer.tops]
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Adds a node; returns the name of its output, or a list of several."""
        stem = f"{self.layer.name}/{kind}{len(self.nodes)}"
        names = [stem] if outputs == 1 else [f"{stem}:{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=stem, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, values: ArrayLike, name: str | None = None) -> str:
        """Adds an array as an initializer (float64 becomes float32); returns its name."""
        array = np.asarray(values)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        name = f"{self.layer.name}.{name or f'constant{len(self.initializers)}'}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(
            array.shape), name))
        return name

    def integers(self, values: ArrayLike) -> str:
        """A constant list of int64."""
        return self.constant(np.asarray(values, dtype=np.int64))

    def blob(self, index: int, name: str, shape: Sequence[int] | None = None) -> str:
        """A learnable blob as an initializer, under another shape if given."""
        array = self.layer.blobs[index].tensor.detach().cpu().numpy()
        return self.constant(array if shape is None else array.reshape(shape), name)

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """`value` under a fixed shape."""
        return self.op("Reshape", value, self.integers(shape))

    def rename(self, old: str, new: str) -> bool:
        """Renames an output of one of the nodes; False when no node has it."""
        if not any(old in node.output for node in self.nodes):
            return False
        for node in self.nodes:
            for names in (node.output, node.input):
                names[:] = [new if name == old else name for name in names]
        return True

    def error(self, what: str) -> LayerError:
        """A LayerError that says that there is no ONNX form for this."""
        return self.layer.error(f"{what} has no ONNX form")
