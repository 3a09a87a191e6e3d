"""A detector whose convolutions and products compute with 8 bits, by ONNX Runtime's own tool."""
import contextlib
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx

OPERATORS = ("Conv", "Gemm")


def quantized(model: onnx.ModelProto, examples: Iterable[Sequence[np.ndarray]]) -> onnx.ModelProto:
    """A copy with 8 bits per weight and per number between the layers.

    examples: inputs of the model, from which the ranges of these numbers are measured. Weights have
    a range per channel. Proposals and boxes stay float32. Needs the package onnxruntime; the
    weights must fit into one protobuf message.
    """
    from onnxruntime.quantization import QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    names = [entry.name for entry in model.graph.input]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        paths = [os.path.join(folder, name) for name in ("whole", "folded", "quantized")]
        onnx.save(model, paths[0])
        quant_pre_process(paths[0], paths[1], skip_symbolic_shape=True, skip_onnx_shape=True)
        quantize_static(paths[1], paths[2], _reader(names, examples), per_channel=True,
                        quant_format=QuantFormat.QDQ, op_types_to_quantize=list(OPERATORS))
        found = onnx.load(paths[2])
    onnx.helper.set_model_props(found, {entry.key: entry.value for entry in model.metadata_props})
    return found


def _reader(names: Sequence[str], examples: Iterable[Sequence[np.ndarray]]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        """The inputs of one example after another."""

        def __init__(self) -> None:
            self._feeds: Iterator[dict] = (dict(zip(names, inputs)) for inputs in examples)

        def get_next(self) -> dict | None:
            return next(self._feeds, None)
    return Reader()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The tool advises to do what is done here already."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
