"""Every public function and method of the engine and of the detector says its types.

Computed from the sources: all arguments and the return value have annotations. `make lint` checks
that the annotations are true.
"""
import ast
from collections.abc import Iterator

import pytest
from sources import FOLDERS, sources

Function = ast.FunctionDef | ast.AsyncFunctionDef


def room_of(name: str, is_package: bool) -> str:
    """The package that a module lies in."""
    return name if is_package else name.rpartition(".")[0]


def rooms() -> list[str]:
    return sorted({room_of(name, path.name == "__init__.py")
                   for top in FOLDERS for name, path in sources(top).items()})


def is_public(name: str) -> bool:
    """Methods like __call__ are public too: users call them."""
    return name.startswith("__") or not name.startswith("_")


def public_functions(body: list[ast.stmt], prefix: str = ""
                     ) -> Iterator[tuple[str, Function, bool]]:
    """(name, function, is a method) of a module's functions and of its public classes' methods."""
    for node in body:
        if isinstance(node, Function) and is_public(node.name):
            yield prefix + node.name, node, bool(prefix)
        elif isinstance(node, ast.ClassDef) and is_public(node.name):
            yield from public_functions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.If | ast.Try):
            for block in (node.body, node.orelse, getattr(node, "finalbody", [])):
                yield from public_functions(block, prefix)


def untyped(function: Function, is_method: bool) -> list[str]:
    """Arguments without annotations, and "return" (which of __init__ is always None)."""
    given = function.args
    names = [*given.posonlyargs, *given.args]
    if is_method and not any(isinstance(decorator, ast.Name) and decorator.id == "staticmethod"
                             for decorator in function.decorator_list):
        names = names[1:]
    names += [*filter(None, [given.vararg]), *given.kwonlyargs, *filter(None, [given.kwarg])]
    missing = [name.arg for name in names if name.annotation is None]
    if function.returns is None and function.name != "__init__":
        missing.append("return")
    return missing


def complaints(text: str) -> list[str]:
    """A line for every function of a module's text that lacks annotations."""
    return [f"{function.lineno} {name}: {', '.join(missing)}"
            for name, function, is_method in public_functions(ast.parse(text).body)
            if (missing := untyped(function, is_method))]


@pytest.mark.parametrize("room", rooms())
def test_public_functions_have_types(room):
    found = [f"{name}:{line}" for top in FOLDERS for name, path in sources(top).items()
             if room_of(name, path.name == "__init__.py") == room and not name.endswith("_pb2")
             for line in complaints(path.read_text(encoding="utf-8"))]
    assert not found, "without types:\n" + "\n".join(found)


def test_what_has_no_types_is_named():
    assert complaints("""
def whole(a: int, *b: int, c: int = 0, **d: int) -> int: ...
def part(a, /, b: int, *c, d, **e): ...
def _hidden(a): ...
class Thing:
    def __init__(self, a: int): ...
    def __call__(self, a): ...
    @staticmethod
    def free(a) -> None: ...
    @property
    def size(self): ...
    def _hidden(self, a): ...
class _Hidden:
    def open(self, a): ...
if True:
    async def late(a: int): ...
""") == ["3 part: a, c, d, e, return", "7 Thing.__call__: a, return", "9 Thing.free: a",
         "11 Thing.size: return", "16 late: return"]
