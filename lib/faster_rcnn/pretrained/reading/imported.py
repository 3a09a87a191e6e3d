"""Weights under the names of Caffe's layers, and the tensors that they are made of."""
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from caffe.proto.caffe_pb2 import NetParameter
from faster_rcnn.pretrained.reading.checkpoints import CheckpointError

Layer = tuple[str, str, list[np.ndarray]]       # name, type, arrays


@dataclass
class Imported:
    """Weights under Caffe's layer names.

    net: its name; layers: [(name, type, [float32 array])] in net order; first: the name of the
    first convolution; family: of the geometry, see geometry.py; pixel_means: (3,) BGR, which the
    net expects to be subtracted, or None where that is a setting of the program; notes: sentences
    for the user; message: the net that the weights want, where it is known.
    """

    net: str
    layers: list[Layer]
    first: str
    family: str
    pixel_means: Sequence[float] | None = None
    notes: list[str] = field(default_factory=list)
    message: NetParameter | None = None


class Tensors:
    """The tensors of a checkpoint, each to be taken once; `finish` reports unused ones."""

    _IGNORED = ".num_batches_tracked"

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self._left = {name: tensor for name, tensor in tensors.items()
                      if not name.endswith(self._IGNORED)}
        self.last = ""      # the name of the tensor that was taken last

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str) -> np.ndarray:
        """A tensor as float32 array."""
        if name not in self._left:
            raise CheckpointError(f'the checkpoint has no tensor "{name}"')
        self.last = name
        return self._left.pop(name).float().numpy()

    def pair(self, stem: str) -> list[np.ndarray]:
        """[weight, bias] of a layer."""
        return [self.take(f"{stem}.weight"), self.take(f"{stem}.bias")]

    def batch_norm(self, stem: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The blobs of the BatchNorm layer [mean, variance, (1,)] and of the Scale layer."""
        statistics = [self.take(f"{stem}.running_{name}") for name in ("mean", "var")]
        return [*statistics, np.ones(1, np.float32)], self.pair(stem)

    def rename(self, *pairs: tuple[str, str]) -> None:
        """Changes names by the first of (pattern at the begin, replacement) that fits each."""
        self._left = {_renamed(name, pairs): tensor for name, tensor in self._left.items()}

    def drop(self, pattern: str) -> None:
        """Forgets the tensors whose names begin so."""
        self._left = {name: tensor for name, tensor in self._left.items()
                      if not re.match(pattern, name)}

    def finish(self) -> None:
        """CheckpointError when tensors are unused."""
        if self._left:
            names = sorted(self._left)
            raise CheckpointError(f'the checkpoint has tensors that the net does not: "{names[0]}"'
                                  f" and {len(names) - 1} more; it is of another variant")


def _renamed(name: str, pairs: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in pairs:
        if re.match(pattern, name):
            return re.sub("^" + pattern, replacement, name)
    return name
