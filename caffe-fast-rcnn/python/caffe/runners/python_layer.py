"""Layers that users write in Python (prototxt: type "Python"): their base classes.

    layer { type: "Python" python_param { module: "my_layers" layer: "MyLayer" param_str: "..." } }

`module` is imported as Python imports it, if it is the user's own (user_modules.py), and may expect
older versions of numpy and yaml (old_names.py). Errors of the user's code keep their type, with a
note that names the layer, the file and the line.
"""
import logging
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from torch import Tensor

from caffe.core.blob import Blob, BlobVec
from caffe.core.errors import LayerError, note_user_code, suggest
from caffe.core.state import Phase
from caffe.core.types import FilePath
from caffe.proto.caffe_pb2 import LayerParameter
from caffe.runners import old_names
from caffe.runners.user_modules import find_layer_module

log = logging.getLogger("caffe")


class Layer:
    """Base of Python layers that work on blobs with numpy, as in pycaffe.

    The constructor gets the LayerParameter, if it takes an argument. Before `setup` these
    attributes are set: name, type, phase (caffe.TRAIN or caffe.TEST), param_str (and param_str_,
    its older name) and blobs (`self.blobs.add_blob(*dims)` in `setup` adds a learnable blob).
    bottom and top are lists of caffe.Blob.
    """

    name: str
    type: str
    phase: Phase
    param_str: str
    param_str_: str
    blobs: BlobVec

    def __init__(self, param: LayerParameter | None = None, *args: Any) -> None:
        super().__init__()

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Once, when the net is built."""

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Shapes the tops; before every forward pass."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Computes top[i].data from bottom[i].data."""
        raise LayerError("the layer has no forward(bottom, top)")

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool],
                 bottom: Sequence[Blob]) -> None:
        """Computes bottom[i].diff where propagate_down[i], and adds to self.blobs[i].diff."""
        raise LayerError("the layer has no backward(top, propagate_down, bottom)")


class TensorLayer:
    """Base of Python layers that work on tensors; autograd computes their gradients.

    It has the same attributes as `Layer`, and the same `setup`. The tops get the shapes of what
    `forward` returns. Until the first pass they have the shapes that `setup` or `reshape` gave.
    """

    name: str
    type: str
    phase: Phase
    param_str: str
    param_str_: str
    blobs: BlobVec

    def __init__(self, param: LayerParameter | None = None, *args: Any) -> None:
        super().__init__()

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Once, when the net is built; the shapes of the bottoms are known."""

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Shapes the tops when the net is built and in net.reshape()."""

    def forward(self, *bottoms: Tensor) -> Tensor | tuple[Tensor, ...]:
        """A tensor per top (one, or a tuple) from the bottoms' tensors, on the net's device."""
        raise LayerError("the layer has no forward(*bottoms)")


def python_class(param: LayerParameter, folder: FilePath | None = None) -> type:
    """The class that a LayerParameter's python_param names; imports its module.

    folder: of the prototxt, where modules may lie that are not on sys.path.
    """
    module_name, class_name = param.python_param.module, param.python_param.layer
    where = f'layer "{param.name}" (Python)'
    if not module_name or not class_name:
        raise LayerError(f"{where}: expected python_param with module and layer, got module "
                         f'"{module_name}" and layer "{class_name}"')
    if not find_layer_module(module_name, folder, where):
        raise _missing(module_name, where)
    cls = getattr(_imported(module_name, where), class_name, None)
    if not isinstance(cls, type):
        classes = [name for name, value in vars(sys.modules[module_name]).items()
                   if isinstance(value, type)]
        raise LayerError(f'{where}: module "{module_name}" has no class "{class_name}"'
                         f"{suggest(class_name, classes)}")
    if not issubclass(cls, (Layer, TensorLayer)):
        raise LayerError(f'{where}: "{class_name}" of module "{module_name}" is not a layer: it '
                         "must be derived from caffe.Layer or caffe.TensorLayer")
    return cls


def _imported(name: str, where: str) -> ModuleType:
    is_new = name not in sys.modules
    try:
        module = old_names.import_module(name)
    except SyntaxError as problem:
        raise LayerError(f"{where}: {problem.filename}:{problem.lineno}: {problem.msg}: "
                         f"{old_names.syntax_hint(problem)}") from problem
    except Exception as problem:
        missing = problem.name if isinstance(problem, ModuleNotFoundError) else None
        if missing and f"{name}.".startswith(f"{missing}."):
            raise _missing(name, where) from problem
        note_user_code(problem, f"while importing {name} for {where}"
                       f"{old_names.renamed(getattr(problem, 'name', None) or '')}")
        raise
    if is_new:
        log.info("Python layers: module %s from %s", name,
                 getattr(module, "__file__", None) or "this program")
    return module


def _missing(name: str, where: str) -> LayerError:
    return LayerError(f'{where}: there is no Python module "{name}" on sys.path (PYTHONPATH) or '
                      "beside the prototxt")
