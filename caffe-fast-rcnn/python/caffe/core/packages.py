"""The packages that only some commands need: the extras of pyproject.toml."""
import importlib
import importlib.util
from types import ModuleType

from caffe.core.errors import CaffeError

# module: its package, the extra that brings it
EXTRAS = {
    "matplotlib": ("matplotlib", "report"),
    "jinja2": ("jinja2", "report"),
    "sklearn": ("scikit-learn", "train"),
    "tensorboard": ("tensorboard", "train"),
    "werkzeug": ("werkzeug", "serve"),
    "onnx": ("onnx", "export"),
    "onnxruntime": ("onnxruntime", "export"),
    "pydot": ("pydot", "draw"),
    "lmdb": ("lmdb", "lmdb"),
    "plyvel": ("plyvel", "leveldb"),
}


class MissingPackageError(CaffeError, ImportError):
    """A package of an extra that is not installed."""


def require(*modules: str) -> None:
    """Raises MissingPackageError unless all modules can be imported: before hours of work."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingPackageError(advice(module) or f"the module {module} is not there")


def load(module: str) -> ModuleType:
    """A module of an extra, imported; MissingPackageError where it is not there."""
    require(module)
    return importlib.import_module(module)


def advice(module: str) -> str | None:
    """One line about a module of an extra that is not there; None for other modules."""
    package, extra = EXTRAS.get(module.partition(".")[0], ("", ""))
    if not package:
        return None
    return (f"the Python package {package} is not installed: pip install {package}, or "
            f"pip install 'py-faster-rcnn[{extra}]'")
