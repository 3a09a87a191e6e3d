"""A builder of ONNX nodes. Values are known by their names in the graph."""
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, DOUBLE = TensorProto.FLOAT, TensorProto.INT64, TensorProto.DOUBLE
DEFAULT_OPSET = 17
# Operators whose `axes` became an input with opset 18
_REDUCTIONS_OF_18 = ("ReduceMean", "ReduceL1", "ReduceMax", "ReduceMin", "ReduceProd",
                     "ReduceSumSquare")


class Form(NamedTuple):
    """How a graph is written.

    opset: the version of the operators; free_sizes: heights, widths and numbers of rois may differ
    from run to run, otherwise all sizes are those that the net has when it is exported.
    """

    opset: int = DEFAULT_OPSET
    free_sizes: bool = False


class Graph:
    """Nodes and constants under names that begin with a prefix.

    Attributes: nodes, initializers, what has been added so far; form.
    """

    def __init__(self, prefix: str, form: Form) -> None:
        self.prefix, self.form = prefix, form
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Adds a node; returns the name of its output, or a list of several."""
        stem = f"{self.prefix}/{kind}{len(self.nodes)}"
        names = [stem] if outputs == 1 else [f"{stem}:{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=stem, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, values: ArrayLike, name: str | None = None, dtype: Any = None) -> str:
        """Adds an array as an initializer; returns its name. Without dtype float64 becomes float32.
        """
        array = np.asarray(values, dtype)
        array = array.astype(np.float32) if array.dtype == np.float64 and dtype is None else array
        name = f"{self.prefix}.{name or f'constant{len(self.initializers)}'}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(
            array.shape), name))
        return name

    def integers(self, values: ArrayLike) -> str:
        """A constant list of int64, or one number."""
        return self.constant(np.asarray(values, dtype=np.int64))

    def number(self, value: float) -> str:
        """A constant scalar, float32."""
        return self.constant(np.float32(value))

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """`value` under a shape; 0 copies an axis, -1 takes what is left."""
        return self.op("Reshape", value, self.integers(shape))

    def cast(self, value: str, kind: int) -> str:
        return self.op("Cast", value, to=kind)

    def cut(self, value: str, start: int, end: int, axis: int) -> str:
        """The entries start, ..., end - 1 along an axis; negative numbers count from its end."""
        return self.op("Slice", value, *(self.integers([n]) for n in (start, end, axis)))

    def size(self, value: str, axis: int) -> str:
        """The length of an axis, int64 of shape (1,)."""
        return self.op("Slice", self.op("Shape", value), self.integers([axis]),
                       self.integers([axis + 1]))

    def reduce(self, kind: str, value: str, axes: Sequence[int], keepdims: bool = True) -> str:
        """ReduceSum, ReduceMean, ... over axes."""
        if kind in _REDUCTIONS_OF_18 and self.form.opset < 18:
            return self.op(kind, value, axes=list(axes), keepdims=int(keepdims))
        return self.op(kind, value, self.integers(list(axes)), keepdims=int(keepdims))

    def rename(self, old: str, new: str) -> bool:
        """Renames an output of one of the nodes; False when no node has it."""
        if not any(old in node.output for node in self.nodes):
            return False
        for node in self.nodes:
            for names in (node.output, node.input):
                names[:] = [new if name == old else name for name in names]
        return True


def nodes_of(graphs: Sequence[Graph]) -> tuple[list[Any], list[Any]]:
    """The nodes and the initializers of graphs, in their order."""
    return (list(itertools.chain.from_iterable(graph.nodes for graph in graphs)),
            list(itertools.chain.from_iterable(graph.initializers for graph in graphs)))
