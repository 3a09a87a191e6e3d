"""Constants of an ONNX graph: tensors, and what it computes of them, such as sizes."""
from collections.abc import Mapping
from typing import Any

import numpy as np

from faster_rcnn.pretrained.reading.checkpoints import CheckpointError

Shape = tuple[int | None, ...]
# What exporters make sizes with; their results are as small as their inputs are few
_OF_SIZES = ("Add", "Cast", "Concat", "Div", "Gather", "Mul", "Neg", "Slice", "Sub")
# What they do to weights as well: as many numbers behind as before
_MOVES = ("Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_FEW = 1 << 10      # numbers that an operator of _OF_SIZES may read, or that move into a graph
_NUMBERS = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64,
            "value_ints": np.int64}


def array_of(tensor: Any) -> np.ndarray:
    """The array of a TensorProto; CheckpointError where its values are not those of its shape."""
    import onnx
    try:
        return onnx.numpy_helper.to_array(tensor)
    except Exception as error:      # unknown types and missing values make almost any
        raise CheckpointError(f'the tensor "{tensor.name}" cannot be read: {_reason(error)}'
                              ) from None


def fold(graph: Any, constants: dict[str, np.ndarray], shapes: Mapping[str, Shape],
         opset: int) -> bool:
    """Adds to the constants {value: array} what a GraphProto computes of constants and of sizes;
    whether there was anything. Those of few numbers take the place of their nodes in the graph, so
    that sizes that depend on them can be found.

    shapes: {value: shape}, None for a size that is not known. Raises CheckpointError for a node
    that its operator does not allow.
    """
    found = []
    for node in graph.node:
        if not node.output or node.output[0] in constants:
            continue
        array = _constant(node) if node.op_type == "Constant" else _size(node, shapes)
        if array is None and _is_foldable(node, constants):
            array = _computed(node, constants, opset)
        if array is not None:
            constants[node.output[0]] = array
            found.append(node)
    for node in found:
        _put(graph, node, constants[node.output[0]])
    return bool(found)


def _put(graph: Any, node: Any, array: np.ndarray) -> None:
    import onnx
    if array.size <= _FEW:
        graph.initializer.append(onnx.numpy_helper.from_array(array, node.output[0]))
        graph.node.remove(node)


def _constant(node: Any) -> np.ndarray | None:
    """The array of a Constant node; None for strings and sparse tensors, which no net here has."""
    import onnx
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if attribute.name == "value":
            return array_of(value)
        if attribute.name in _NUMBERS:
            return np.array(value, _NUMBERS[attribute.name])
    return None


def _size(node: Any, shapes: Mapping[str, Shape]) -> np.ndarray | None:
    """What a Shape node gives, where all of it is known."""
    if node.op_type != "Shape" or not node.input:
        return None
    limits = {attribute.name: attribute.i for attribute in node.attribute}
    shape = shapes.get(node.input[0], (None,))[limits.get("start", 0):limits.get("end")]
    return None if None in shape else np.array(shape, np.int64)


def _is_foldable(node: Any, constants: Mapping[str, np.ndarray]) -> bool:
    given = [name for name in node.input if name]
    if node.domain not in ("", "ai.onnx") or not given or len(node.output) != 1 or \
            any(name not in constants for name in given):
        return False
    return node.op_type in _MOVES or node.op_type in _OF_SIZES and \
        sum(constants[name].size for name in given) <= _FEW


def _computed(node: Any, constants: Mapping[str, np.ndarray], opset: int) -> np.ndarray:
    from onnx import helper
    from onnx.reference import ReferenceEvaluator
    feeds = {name: constants[name] for name in node.input if name}
    inputs = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype),
                                            array.shape) for name, array in feeds.items()]
    outputs = [helper.make_empty_tensor_value_info(node.output[0])]
    try:
        model = helper.make_model(helper.make_graph([node], "node", inputs, outputs),
                                  opset_imports=[helper.make_opsetid("", opset)])
        return ReferenceEvaluator(model).run(None, feeds)[0]
    except Exception as error:      # what a wrong node makes numpy raise
        raise CheckpointError(f'node "{node.name or node.output[0]}" ({node.op_type}) cannot be '
                              f"computed: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
