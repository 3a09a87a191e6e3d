"""A part of a net as one Python file with a torch.nn.Module that needs nothing but PyTorch."""
import builtins
import inspect
import textwrap
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from caffe.core.errors import LayerError
from caffe.export.part import Part
from caffe.export.source import pieces
from caffe.export.source.scope import Names, Scope, Several
from caffe.export.source.table import SOURCES
from caffe.nets.net import Net
from caffe.runners.runner import LayerRunner

_WIDTH = 100
# Names that a file uses itself
_RESERVED = (*dir(builtins), "F", "Pair", "load", "detect", "math", "nn", "os", "self", "torch",
             *pieces.NEEDS)
_IMPORTS = """import math
import os

import torch
import torch.nn.functional as F
from torch import nn

Pair = tuple[int, int]
"""


@dataclass
class Source:
    """The class of a part of a net, on its way into a file.

    name: of the class; inputs, outputs: variables of its forward; parts: lines of its __init__;
    lines: of its forward; tensors: its state_dict; pieces: names of pieces.py that it calls
    """

    name: str
    inputs: list[str]
    outputs: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    pieces: set[str] = field(default_factory=set)


def source_of(net: Net, part: Part, taken: Iterable[str] = ()) -> Source:
    """The Source of a part of a net with its weights; LayerError for a layer that has none.

    taken: further names of the file, which its class must not have.
    """
    values: dict[str, str] = {}
    for name in part.inputs:
        values[name] = _variable(name, values)
    name = Names([*_RESERVED, *taken]).fresh(str(net.name) or "Net")
    made = Source(name, list(values.values()))
    names = Names(dir(torch.nn.Module()))       # of an object, which has more than its class
    for index in part.layers:
        layer = net._runners[index]
        scope = Scope(layer, names)
        found = _function(layer)(scope, *(values[name] for name in layer.bottom_names))
        made.parts += scope.parts
        made.tensors.update(scope.tensors)
        made.pieces |= scope.pieces
        made.lines += _assignments(layer, found, values)
    made.outputs = [values[name] for name in part.outputs]
    return made


def _function(layer: LayerRunner) -> Any:
    found = SOURCES.get(layer.type) or getattr(layer.public, "to_source", None)
    if found is None:
        raise LayerError(f'layer "{layer.name}" ({layer.type}) has no PyTorch source; export what '
                         f"lies before it (end: {', '.join(layer.bottom_names)}) instead")
    return found


def _assignments(layer: LayerRunner, found: Any, values: dict[str, str]) -> list[str]:
    """The lines that give a layer's tops their values. Variables are called as the blobs."""
    if isinstance(found, Several):
        for name in layer.top_names:
            values[name] = _variable(name, values)
        return [f"{', '.join(values[name] for name in layer.top_names)} = {found.expression}"]
    lines = []
    for name, expression in zip(layer.top_names, [found] if isinstance(found, str) else found):
        if expression in values.values():       # another name of the same value
            values[name] = expression
        else:
            values[name] = _variable(name, values)
            lines.append(f"{values[name]} = {expression}")
    return lines


def _variable(blob: str, values: dict[str, str]) -> str:
    """A variable for a blob's new value that no other blob uses."""
    others = [value for name, value in values.items() if name != blob]
    return Names([*others, *_RESERVED]).fresh(blob)


def text_of(made: Source, weights: str, description: str, more: Iterable[str] = ()) -> str:
    """The text of a file; weights: the name of the file with the tensors, beside it.

    description: of the net, in a sentence; more: texts of further functions, with the pieces that
    they need in made.pieces.
    """
    head = '"""' + textwrap.fill(_plain(description), _WIDTH - 3)
    used = needed(made.pieces)
    body = [inspect.getsource(getattr(pieces, name)) for name in pieces.NEEDS if name in used]
    parts = [f'{head}\n\nNeeds PyTorch only. load() gives it with its weights.\n"""\n{_IMPORTS}',
             *body, _class_text(made), _load_text(made, weights), *more]
    text = "\n\n".join(part if part.endswith("\n") else part + "\n" for part in parts)
    return text if "math." in text else text.replace("import math\n", "", 1)


def _plain(text: str) -> str:
    """Text that may stand in a docstring, whatever names it holds."""
    return "".join(c if c.isprintable() else "_" for c in text).replace('"', "'").replace("\\", "/")


def needed(names: Collection[str]) -> set[str]:
    """The names of pieces, with those that they need."""
    return set(names).union(*(pieces.NEEDS[name] for name in names))


def _class_text(made: Source) -> str:
    arguments = ", ".join(f"{name}: torch.Tensor" for name in made.inputs)
    several = len(made.outputs) != 1
    result = "tuple[torch.Tensor, ...]" if several else "torch.Tensor"
    lines = [f"class {made.name}(nn.Module):",
             f'    """Gives {", ".join(made.outputs)}."""', "",
             "    def __init__(self) -> None:", "        super().__init__()",
             *(_wrapped(part) for part in made.parts), "",
             _wrapped(f"def forward(self, {arguments}", 4) + f") -> {result}:",
             *(_wrapped(line) for line in made.lines),
             f"        return {', '.join(made.outputs)}"]
    return "\n".join(lines)


def _wrapped(line: str, indent: int = 8) -> str:
    """A line in lines of _WIDTH, which end inside of brackets only."""
    lines = _filled(line, indent)
    if _ends_inside_brackets(lines):
        return "\n".join(lines)
    target, _, expression = line.partition(" = ")
    return "\n".join([f"{' ' * indent}{target} = (", *_filled(expression, indent + 4),
                      " " * indent + ")"])


def _filled(text: str, indent: int) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=" " * indent,
                         subsequent_indent=" " * (indent + 8), break_long_words=False,
                         break_on_hyphens=False)


def _ends_inside_brackets(lines: Sequence[str]) -> bool:
    """Whether each line but the last leaves a bracket open. No string in them holds a bracket."""
    depth = 0
    for line in lines[:-1]:
        depth += sum(line.count(c) for c in "([{") - sum(line.count(c) for c in ")]}")
        if not depth:
            return False
    return True


def _load_text(made: Source, weights: str) -> str:
    return "\n".join((
        f"def load(path: str = \"\") -> {made.name}:",
        '    """The net with its weights, those beside this file, in evaluation mode."""',
        f"    path = path or os.path.join(os.path.dirname(os.path.abspath(__file__)), {weights!r})",
        f"    net = {made.name}()",
        "    net.load_state_dict(torch.load(path, map_location=\"cpu\", weights_only=True))",
        "    return net.eval()"))
