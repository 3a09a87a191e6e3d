"""Layers that users write in Python (prototxt: type "Python").

    layer { type: "Python" python_param { module: "my_layers" layer: "MyLayer" param_str: "..." } }

`module` is imported as Python imports it. Errors of the user's code stay the exceptions they are,
with a note that names the layer.
"""
import contextlib
import importlib

import numpy as np
import torch

from caffe.core import state
from caffe.core.blob import BlobVec
from caffe.core.errors import LayerError, add_note, suggest
from caffe.runners.runner import GraphLayer, LayerRunner


class Layer:
    """Base of Python layers that work on blobs with numpy (pycaffe's contract).

    Set before `setup`: name, type, phase (caffe.TRAIN or caffe.TEST), param_str (and param_str_,
    its older name), blobs (`self.blobs.add_blob(*dims)` in `setup` adds a learnable blob).
    bottom and top are lists of caffe.Blob.
    """

    def setup(self, bottom, top):
        """Once, when the net is built."""

    def reshape(self, bottom, top):
        """Shapes the tops; before every forward pass."""

    def forward(self, bottom, top):
        """Computes top[i].data from bottom[i].data."""
        raise LayerError("the layer has no forward(bottom, top)")

    def backward(self, top, propagate_down, bottom):
        """Computes bottom[i].diff where propagate_down[i], and adds to self.blobs[i].diff."""
        raise LayerError("the layer has no backward(top, propagate_down, bottom)")


class TensorLayer:
    """Base of Python layers that work on tensors, and whose gradient autograd finds.

    The same attributes as `Layer`, and the same `setup`. The tops take the shapes that `forward`
    returns; until the first pass they have those that `setup` or `reshape` gave them.
    """

    def setup(self, bottom, top):
        """Once, when the net is built; the shapes of the bottoms are known."""

    def reshape(self, bottom, top):
        """Shapes the tops when the net is built and in net.reshape()."""

    def forward(self, *bottoms):
        """A tensor per top (one, or a tuple) from the bottoms' tensors, on the net's device."""
        raise LayerError("the layer has no forward(*bottoms)")


class _PythonRunner:
    """What the runners of both kinds share: the user's object."""

    def __init__(self, param, bottoms, tops, layer_object, device):
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
    def public(self):
        return self.object

    def reshape(self):
        with self.noted("reshape"):
            self.object.reshape(self.bottoms, self.tops)

    @contextlib.contextmanager
    def noted(self, method):
        """Notes the layer on whatever exception the user's code raises."""
        try:
            yield
        except Exception as problem:
            add_note(problem, f'in {method}() of layer "{self.name}" '
                              f"({type(self.object).__module__}.{type(self.object).__name__})")
            raise


class NumpyLayerRunner(_PythonRunner, LayerRunner):
    """Runs a caffe.Layer."""

    def forward(self, record):
        self.reshape()
        with self.noted("forward"), torch.enable_grad():
            self.object.forward(self.bottoms, self.tops)

    def backward(self):
        with self.noted("backward"), torch.enable_grad():
            self.object.backward(self.tops, list(self.propagate_down), self.bottoms)


class TensorLayerRunner(_PythonRunner, GraphLayer):
    """Runs a caffe.TensorLayer."""

    def compute(self, *tensors):
        with self.noted("forward"):
            outputs = self.object.forward(*tensors)
            outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
            if len(outputs) != len(self.tops):
                raise self.error(f"expected forward() to return {len(self.tops)} tensors, one per "
                                 f"top, got {len(outputs)}")
            return tuple(map(self._converted, outputs))

    def _converted(self, output):
        if isinstance(output, (np.ndarray, float, int)):
            output = torch.as_tensor(output)
        if not isinstance(output, torch.Tensor):
            raise self.error("expected forward() to return tensors, got "
                             f"{type(output).__name__}")
        return output.to(self.device, torch.float32)


def python_layer(param, bottoms, tops, device):
    """The runner of a Python layer: imports its module and constructs its class."""
    cls = _find_class(param)
    if issubclass(cls, TensorLayer):
        return TensorLayerRunner(param, bottoms, tops, cls(), device)
    return NumpyLayerRunner(param, bottoms, tops, cls(), device)


def _find_class(param):
    module_name, class_name = param.python_param.module, param.python_param.layer
    where = f'layer "{param.name}" (Python)'
    if not module_name or not class_name:
        raise LayerError(f"{where}: expected python_param with module and layer, got module "
                         f'"{module_name}" and layer "{class_name}"')
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as problem:
        if problem.name is None or not f"{module_name}.".startswith(f"{problem.name}."):
            add_note(problem, f"while importing {module_name} for {where}")
            raise
        raise LayerError(f'{where}: there is no Python module "{module_name}" on sys.path '
                         "(PYTHONPATH)") from problem
    except Exception as problem:
        add_note(problem, f"while importing {module_name} for {where}")
        raise
    cls = getattr(module, class_name, None)
    if not isinstance(cls, type):
        classes = [name for name, value in vars(module).items() if isinstance(value, type)]
        raise LayerError(f'{where}: module "{module_name}" has no class "{class_name}"'
                         f"{suggest(class_name, classes)}")
    return cls
