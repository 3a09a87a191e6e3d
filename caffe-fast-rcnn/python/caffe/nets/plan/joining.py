"""Concat in place: chains of layers write their tops into the top of the Concat that reads them.

A bottom that the pass lets go behind the Concat is a part of its top until then. All others are
copied, as Concat copies them.
"""
from typing import NamedTuple

import torch
from torch import Tensor

from caffe.core.types import Shape
from caffe.layer_types.values.shape import Concat
from caffe.runners.module_runner import ModuleRunner
from caffe.runners.runner import LayerRunner


def is_joint(layer: LayerRunner) -> bool:
    """Whether a layer puts maps (N, C, H, W) side by side along the channels."""
    return (isinstance(layer, ModuleRunner) and isinstance(layer.module, Concat)
            and layer.module.axis == 1 and not (layer.losses or layer.same_memory)
            and all(len(blob.shape) == 4 for blob in layer.bottoms))


class Joint:
    """The top of a Concat that is written part by part."""

    def __init__(self, layer: ModuleRunner) -> None:
        self._sizes = [blob.shape[1] for blob in layer.bottoms]
        self._starts = [sum(self._sizes[:i]) for i in range(len(self._sizes))]
        self._tensor: Tensor | None = None
        self._parts: dict[int, Tensor] = {}     # those that were given away

    def part(self, index: int, shape: Shape) -> Tensor | None:
        """Memory for a bottom of this shape; None where it is not the one that was planned."""
        if len(shape) != 4 or shape[1] != self._sizes[index]:
            return None
        whole = (shape[0], sum(self._sizes), *shape[2:])
        if self._tensor is None or self._tensor.shape != whole:
            self._tensor = torch.empty(whole, memory_format=torch.channels_last)
            self._parts = {}
        self._parts[index] = self._cut(self._tensor, index)
        return self._parts[index]

    def _cut(self, tensor: Tensor, index: int) -> Tensor:
        return tensor.narrow(1, self._starts[index], self._sizes[index])

    def complete(self, bottoms: list[Tensor]) -> Tensor | None:
        """The whole top, after copying the bottoms that were not written there; None where it does
        not fit these bottoms."""
        tensor, parts = self._tensor, self._parts
        self._tensor, self._parts = None, {}
        if tensor is None or any(x.dtype != tensor.dtype or x.shape != self._cut(tensor, i).shape
                                 for i, x in enumerate(bottoms)):
            return None
        for i, x in enumerate(bottoms):
            if x is not parts.get(i):
                self._cut(tensor, i).copy_(x)
        return tensor


class Slot(NamedTuple):
    """The place of one bottom in a Joint."""

    joint: Joint
    number: int

    def place(self, shape: Shape) -> Tensor | None:
        """Memory for the bottom, a slice of the channels of a map in channels_last."""
        return self.joint.part(self.number, shape)
