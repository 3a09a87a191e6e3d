"""Weights under the names of Caffe's layers, and the tensors that they are made of."""
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from faster_rcnn.pretrained.checkpoints import CheckpointError


@dataclass
class Imported:
    """Weights under Caffe's layer names.

    net: its name; layers: [(name, type, [float32 array])] in net order; first: the name of the
    first convolution; family: of the geometry, see geometry.py; pixel_means: (3,) BGR, which the
    net expects to be subtracted, or None where that is a setting of the program; notes: sentences
    for the user.
    """

    net: str
    layers: list[tuple[str, str, list[np.ndarray]]]
    first: str
    family: str
    pixel_means: Sequence[float] | None = None
    notes: list[str] = field(default_factory=list)


class Tensors:
    """The tensors of a checkpoint, each to be taken once; `finish` reports unused ones."""

    _IGNORED = ".num_batches_tracked"

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self._left = {name: tensor for name, tensor in tensors.items()
                      if not name.endswith(self._IGNORED)}

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str) -> np.ndarray:
        """A tensor as float32 array."""
        if name not in self._left:
            raise CheckpointError(f'the checkpoint has no tensor "{name}"')
        return self._left.pop(name).float().numpy()

    def pair(self, stem: str) -> list[np.ndarray]:
        """[weight, bias] of a layer."""
        return [self.take(f"{stem}.weight"), self.take(f"{stem}.bias")]

    def batch_norm(self, stem: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The blobs of the BatchNorm layer [mean, variance, (1,)] and of the Scale layer."""
        statistics = [self.take(f"{stem}.running_{name}") for name in ("mean", "var")]
        return [*statistics, np.ones(1, np.float32)], self.pair(stem)

    def finish(self) -> None:
        """CheckpointError when tensors are unused."""
        if self._left:
            names = sorted(self._left)
            raise CheckpointError(f'the checkpoint has tensors that the net does not: "{names[0]}"'
                                  f" and {len(names) - 1} more; it is of another variant")
