"""Runners of Python layers: a user's caffe.Layer or caffe.TensorLayer at work in a net."""
import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe.core import state
from caffe.core.blob import Blob, BlobVec
from caffe.core.errors import add_note
from caffe.proto.caffe_pb2 import LayerParameter
from caffe.runners.python_layer import TensorLayer, python_class
from caffe.runners.runner import GraphRunner, LayerRunner


class PythonRunner(LayerRunner):
    """What the runners of both kinds of Python layer share: the user's object."""

    def __init__(self, param: LayerParameter, bottoms: list[Blob], tops: list[Blob],
                 layer_object: Any, device: torch.device) -> None:
        super().__init__(param, bottoms, tops)
        self.object, self.device = layer_object, device
        layer_object.name, layer_object.type = param.name, param.type
        layer_object.phase = state.Phase(self.phase)
        layer_object.param_str = layer_object.param_str_ = param.python_param.param_str
        self.blobs = layer_object.blobs = BlobVec(device=device)
        with self.noted("setup"):
            layer_object.setup(bottoms, tops)
        self.reshape()

    @property
    def public(self) -> Any:
        return self.object

    def reshape(self) -> None:
        with self.noted("reshape"):
            self.object.reshape(self.bottoms, self.tops)

    @contextlib.contextmanager
    def noted(self, method: str) -> Iterator[None]:
        """Notes the layer on whatever exception the user's code raises."""
        try:
            yield
        except Exception as problem:
            add_note(problem, f'in {method}() of layer "{self.name}" '
                              f"({type(self.object).__module__}.{type(self.object).__name__})")
            raise


class NumpyRunner(PythonRunner):
    """Runs a caffe.Layer: numpy blobs, gradients by the user's own `backward`."""

    def forward(self, record: bool) -> None:
        self.reshape()
        with self.noted("forward"), torch.enable_grad():
            self.object.forward(self.bottoms, self.tops)

    def backward(self) -> None:
        with self.noted("backward"), torch.enable_grad():
            self.object.backward(self.tops, list(self.propagate_down), self.bottoms)


class TensorRunner(PythonRunner, GraphRunner):
    """Runs a caffe.TensorLayer: tensors, gradients by autograd."""

    def compute(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        with self.noted("forward"):
            outputs = self.object.forward(*tensors)
            outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
            if len(outputs) != len(self.tops):
                raise self.error(f"expected forward() to return {len(self.tops)} tensors, one per "
                                 f"top, got {len(outputs)}")
            return tuple(map(self._converted, outputs))

    def _converted(self, output: Any) -> Tensor:
        if isinstance(output, (np.ndarray, float, int)):
            output = torch.as_tensor(output)
        if not isinstance(output, torch.Tensor):
            raise self.error("expected forward() to return tensors, got "
                             f"{type(output).__name__}")
        return output.to(self.device, torch.float32)


def python_runner(param: LayerParameter, bottoms: list[Blob], tops: list[Blob],
                  device: torch.device) -> LayerRunner:
    """The runner of a Python layer: imports its module and constructs its class."""
    cls = python_class(param)
    kind = TensorRunner if issubclass(cls, TensorLayer) else NumpyRunner
    return kind(param, bottoms, tops, cls(), device)
