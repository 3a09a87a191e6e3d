"""What Python layers of 2015 expect of numpy and yaml, for users' modules alone.

Such layers write np.float, np.int and np.bool, which newer versions of numpy lack, and
yaml.load(text) without a loader, which newer versions of yaml refuse. Modules that are imported
here see stand-ins of numpy and yaml that still have them; everybody else's numpy and yaml stay as
they are. yaml.load without a loader reads plain data only and executes nothing.

A module gets the stand-ins by an `__import__` of its own, which also serves the imports inside its
functions, and the modules of the user that it imports.
"""
import builtins
import importlib
import re
import sys
import threading
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

from caffe.runners.user_modules import is_foreign

_INFINITY, _NAN = float("inf"), float("nan")
# name in older versions of numpy -> what it was
_NUMPY = {"float": float, "int": int, "bool": bool, "object": object, "str": str,
          "complex": complex, "long": int, "unicode": str, "Inf": _INFINITY, "infty": _INFINITY,
          "Infinity": _INFINITY, "PINF": _INFINITY, "NINF": -_INFINITY, "NaN": _NAN}
# name in older versions of numpy -> its name today
_RENAMED_IN_NUMPY = {"float_": "float64", "complex_": "complex128", "unicode_": "str_",
                     "product": "prod", "cumproduct": "cumprod", "alltrue": "all",
                     "sometrue": "any", "row_stack": "vstack"}
_RENAMED_MODULES = {"cPickle": "pickle", "Queue": "queue", "ConfigParser": "configparser",
                    "StringIO": "io", "cStringIO": "io", "urllib2": "urllib.request",
                    "__builtin__": "builtins", "commands": "subprocess"}
_RENAMED_FUNCTIONS = {"xrange": "range", "raw_input": "input", "unicode": "str", "long": "int",
                      "basestring": "str", "reduce": "functools.reduce", "unichr": "chr"}
_PYTHON_2 = re.compile(r"""^\s*(print\s+[^(=\s]|print\s*$|exec\s+[^(=\s]|raise\s+[\w.]+\s*,
                               |except\s+[^:]*,\s*\w+\s*:)|`|<>|\b0\d+\b|\b\d+[lL]\b|\bur["']""",
                       re.VERBOSE)
_CONVERT = "convert it with 2to3 -w FILE (in Python up to 3.12) or fissix -w FILE"
_stand_ins: dict[str, ModuleType] = {}
_importing = threading.local()


def import_module(name: str) -> ModuleType:
    """As importlib.import_module, for a module that may expect older versions."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    with _UsersCode():
        module = importlib.import_module(name)
    if not _is_ours(name):
        for key, value in list(vars(module).items()):   # imported earlier, by somebody else
            if isinstance(value, ModuleType):
                setattr(module, key, stand_in(value))
    return module


def stand_in(module: ModuleType) -> ModuleType:
    """The module that users' code sees in the place of one."""
    name = module.__name__
    if name not in ("numpy", "yaml") or isinstance(module, _StandIn):
        return module
    if name not in _stand_ins:
        more = _old_numpy(module) if name == "numpy" else _old_yaml(module)
        _stand_ins[name] = _StandIn(module, more)
    return _stand_ins[name]


def renamed(name: str) -> str:
    """'; "cPickle" is called "pickle" in Python 3', or an empty string."""
    now = {**_RENAMED_MODULES, **_RENAMED_FUNCTIONS}.get(name)
    return f'; "{name}" of Python 2 is {now} in Python 3' if now else ""


def syntax_hint(problem: SyntaxError) -> str:
    """What to do about a file that Python 3 cannot read."""
    is_old = isinstance(problem, TabError) or _PYTHON_2.search(problem.text or "")
    return f"this is Python 2: {_CONVERT}" if is_old else "correct the file"


class _UsersCode:
    """A context in which this thread imports for users' modules."""

    def __enter__(self) -> None:
        _importing.depth = getattr(_importing, "depth", 0) + 1

    def __exit__(self, *problem: Any) -> None:
        _importing.depth -= 1


class _Finder:
    """Finds users' modules, while they are imported for a net, so that they are run by _Loader."""

    def find_spec(self, name: str, path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        if not getattr(_importing, "depth", 0) or _is_ours(name):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or type(spec.loader) is not SourceFileLoader:
            return None
        if is_foreign(spec.loader.path):
            return None
        spec.loader = _Loader(name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Runs a module whose imports go through `_import`."""

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)


def _import(name: str, *arguments: Any, **options: Any) -> ModuleType:
    with _UsersCode():
        module = builtins.__import__(name, *arguments, **options)
    return stand_in(module)


class _StandIn(ModuleType):
    """Another module with further names."""

    def __init__(self, original: ModuleType, more: dict[str, Any]) -> None:
        super().__init__(original.__name__)
        vars(self).update(vars(original), **more)
        self._original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_original"], name)


def _old_numpy(numpy: ModuleType) -> dict[str, Any]:
    current = vars(numpy)       # hasattr would warn of some
    names = {**_NUMPY, **{old: current[new] for old, new in _RENAMED_IN_NUMPY.items()}}
    return {name: value for name, value in names.items() if name not in current}


def _old_yaml(yaml: Any) -> dict[str, Any]:
    class Loader(yaml.SafeLoader):
        """Plain data, and the tuples and strings that PyYAML wrote in Python 2."""

    tag = "tag:yaml.org,2002:python/"
    Loader.add_constructor(tag + "tuple", lambda loader, node: tuple(
        loader.construct_sequence(node, deep=True)))
    for name in ("str", "unicode"):
        Loader.add_constructor(tag + name, yaml.SafeLoader.construct_yaml_str)

    def load(stream: Any, Loader: Any = Loader) -> Any:  # noqa: N803 - yaml's own name
        return yaml.load(stream, Loader=Loader)

    return {"load": load}


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in ("caffe", "faster_rcnn")

