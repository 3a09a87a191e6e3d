"""Models of a single operator in ONNX Runtime and OpenVINO."""
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

Run = Callable[[], Any]


def single(kind: str, inputs: Mapping[str, Tensor], constants: list[np.ndarray],
           kind_of_top: str = "float32", **attributes: Any) -> dict[str, Run]:
    """{program: run} of an ONNX operator in ONNX Runtime and OpenVINO, as far as they are there.

    constants: further operands; kind_of_top: the type of the result. None for operands on a GPU.
    """
    if any(value.is_cuda for value in inputs.values()):
        return {}
    try:
        model = _model(kind, inputs, constants, kind_of_top, attributes)
    except ImportError:
        return {}
    arrays = [value.numpy() for value in inputs.values()]
    made: dict[str, Run] = {}
    for name, start in (("ONNX Runtime", _onnx_runtime), ("OpenVINO", _openvino)):
        try:
            made[name] = start(model, list(inputs), arrays)
        except ImportError:
            continue
    return made


def _model(kind: str, inputs: Mapping[str, Tensor], constants: list[np.ndarray], kind_of_top: str,
           attributes: Mapping[str, Any]) -> bytes:
    from onnx import helper, numpy_helper
    types = [helper.np_dtype_to_tensor_dtype(value.numpy().dtype) for value in inputs.values()]
    infos = [helper.make_tensor_value_info(name, each, list(value.shape))
             for (name, value), each in zip(inputs.items(), types)]
    top = helper.make_tensor_value_info("top", helper.np_dtype_to_tensor_dtype(
        np.dtype(kind_of_top)), None)
    held = [numpy_helper.from_array(value, f"c{i}") for i, value in enumerate(constants)]
    node = helper.make_node(kind, [*inputs, *(entry.name for entry in held)], ["top"],
                            **attributes)
    graph = helper.make_graph([node], kind, infos, [top], held)
    return helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", 17)]).SerializeToString()


def _onnx_runtime(model: bytes, names: list[str], arrays: list[np.ndarray]) -> Run:
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, dict(zip(names, arrays)))[0]


def _openvino(model: bytes, names: list[str], arrays: list[np.ndarray]) -> Run:
    import openvino
    options = {"INFERENCE_PRECISION_HINT": "f32",
               "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", options)
    return lambda: np.array(compiled(arrays)[0])
