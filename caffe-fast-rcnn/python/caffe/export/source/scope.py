"""The context of a layer on its way into PyTorch source."""
import keyword
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from caffe.core.errors import LayerError
from caffe.runners.runner import LayerRunner


class Several(NamedTuple):
    """An expression whose value is a tuple, one entry per top."""

    expression: str


class Names:
    """Python names for the names of a net, each given once."""

    def __init__(self, taken: Sequence[str] = ()) -> None:
        self._taken = set(taken)

    def fresh(self, wanted: str) -> str:
        """A name that nobody has, as near to the wanted one as can be."""
        stem = identifier(wanted)
        name, number = stem, 2
        while name in self._taken:
            name, number = f"{stem}_{number}", number + 1
        self._taken.add(name)
        return name


def identifier(text: str) -> str:
    """Text as a Python name: "conv/3x3" -> "conv_3x3", "1" -> "layer_1".

    None begins with an underscore, since Python changes names such as __conv inside a class.
    """
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    if not name[:1].isalpha():
        name = "layer_" + name
    return name + "_" if keyword.iskeyword(name) else name


def number(value: float) -> str:
    """A float32 number as it is written, 0.0001 and not 9.999999747378752e-05."""
    text = str(np.float32(value))
    return text.removesuffix(".0") if math.isfinite(value) else f'float("{text}")'


class Scope:
    """One layer: its functions in `layers` add parts, and return the expression of the top.

    Attributes: layer, module (the LayerRunner and its Module), bottom_shapes, top_shapes
      parts    lines of the class's __init__
      tensors  {name: tensor} of the state_dict
      pieces   names of pieces.py that are used
    """

    def __init__(self, layer: LayerRunner, names: Names) -> None:
        self.layer = layer
        self.module: Any = getattr(layer, "module", None)
        self.bottom_shapes = [blob.shape for blob in layer.bottoms]
        self.top_shapes = [blob.shape for blob in layer.tops]
        self.parts: list[str] = []
        self.tensors: dict[str, torch.Tensor] = {}
        self.pieces: set[str] = set()
        self._names = names

    def part(self, constructor: str, **tensors: torch.Tensor | None) -> str:
        """Adds a module with its tensors (None: it has none of that name); returns "self.<name>".
        """
        name = self._names.fresh(self.layer.name)
        self.parts.append(f"self.{name} = {constructor}")
        self.tensors.update({f"{name}.{key}": value.clone() for key, value in tensors.items()
                             if value is not None})
        return f"self.{name}"

    def values(self, name: str, rows: Any) -> str:
        """Adds constant numbers as a buffer outside of the state_dict; returns "self.<name>"."""
        name = self._names.fresh(f"{self.layer.name}_{name}")
        rows = np.asarray(rows, np.float32).tolist()
        self.parts.append(f'self.register_buffer("{name}", torch.tensor({rows}), persistent=False)')
        return f"self.{name}"

    def piece(self, name: str) -> str:
        """The name of a piece of pieces.py, which the file will hold."""
        self.pieces.add(name)
        return name

    def blob(self, index: int) -> torch.Tensor | None:
        """A learnable blob on the CPU, None where the layer has fewer."""
        if index >= len(self.layer.blobs):
            return None
        return torch.empty(self.layer.blobs[index].shape).copy_(
            self.layer.blobs[index].tensor.detach())

    def error(self, what: str) -> LayerError:
        """A LayerError that says that there is no source for this."""
        return self.layer.error(f"{what} has no PyTorch source")
