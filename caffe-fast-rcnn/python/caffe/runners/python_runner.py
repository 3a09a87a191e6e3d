"""Runners of Python layers: a user's caffe.Layer or caffe.TensorLayer at work in a net."""
import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe.core import state
from caffe.core.blob import Blob, BlobVec
from caffe.core.errors import note_user_code
from caffe.core.types import FilePath
from caffe.proto.caffe_pb2 import LayerParameter
from caffe.runners import old_names
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

    def noted(self, method: str) -> contextlib.AbstractContextManager[None]:
        """Notes this layer on the exceptions of the user's code."""
        return noted(method, self.name, type(self.object))


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
                  device: torch.device, folder: FilePath | None = None) -> LayerRunner:
    """The runner of a Python layer: imports its module and constructs its class.

    folder: of the prototxt, see python_class.
    """
    cls = python_class(param, folder)
    kind = TensorRunner if issubclass(cls, TensorLayer) else NumpyRunner
    return kind(param, bottoms, tops, _constructed(cls, param), device)


def _constructed(cls: type, param: LayerParameter) -> Any:
    """An object of the class; pycaffe passes the LayerParameter, but not all classes take it."""
    try:
        inspect.signature(cls).bind(param)
        arguments: tuple[Any, ...] = (param,)
    except TypeError:
        arguments = ()
    with noted("__init__", param.name, cls):
        return cls(*arguments)


@contextlib.contextmanager
def noted(method: str, layer_name: str, cls: type) -> Iterator[None]:
    """Adds a note to the exceptions of users' code: the place in it, the method and the layer."""
    try:
        yield
    except Exception as problem:
        note_user_code(problem, f'in {method}() of layer "{layer_name}" '
                       f"({cls.__module__}.{cls.__name__})"
                       f"{old_names.renamed(getattr(problem, 'name', None) or '')}")
        raise
