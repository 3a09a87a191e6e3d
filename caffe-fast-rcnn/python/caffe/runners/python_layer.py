"""Layers that users write in Python (prototxt: type "Python"): their base classes.

    layer { type: "Python" python_param { module: "my_layers" layer: "MyLayer" param_str: "..." } }

`module` is imported as Python imports it. Errors of the user's code stay the exceptions they are,
with a note that names the layer.
"""
import importlib
from collections.abc import Sequence

from torch import Tensor

from caffe.core.blob import Blob
from caffe.core.errors import LayerError, add_note, suggest
from caffe.proto.caffe_pb2 import LayerParameter


class Layer:
    """Base of Python layers that work on blobs with numpy (pycaffe's contract).

    Set before `setup`: name, type, phase (caffe.TRAIN or caffe.TEST), param_str (and param_str_,
    its older name), blobs (`self.blobs.add_blob(*dims)` in `setup` adds a learnable blob).
    bottom and top are lists of caffe.Blob.
    """

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
    """Base of Python layers that work on tensors, and whose gradient autograd finds.

    The same attributes as `Layer`, and the same `setup`. The tops take the shapes that `forward`
    returns; until the first pass they have those that `setup` or `reshape` gave them.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Once, when the net is built; the shapes of the bottoms are known."""

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Shapes the tops when the net is built and in net.reshape()."""

    def forward(self, *bottoms: Tensor) -> Tensor | tuple[Tensor, ...]:
        """A tensor per top (one, or a tuple) from the bottoms' tensors, on the net's device."""
        raise LayerError("the layer has no forward(*bottoms)")


def python_class(param: LayerParameter) -> type:
    """The class that a LayerParameter's python_param names; imports its module."""
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
