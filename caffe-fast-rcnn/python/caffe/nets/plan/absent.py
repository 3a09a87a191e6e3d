"""Blobs that a planned pass leaves out: nobody has their values, until somebody reads one.

There are two kinds: blobs inside a chain, which are not computed, and blobs that every layer has
read, whose memory is let go for the blobs that follow. When one is read, the layers that lead to it
run once more, one by one, in float32, with what the pass began with, and with the learnable blobs
as they were then. The blob that was read is remembered, and the next plan does not leave it out any
more.
"""
import functools
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeGuard
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.func import functional_call

from caffe.core.memory import Memory
from caffe.core.types import Shape
from caffe.nets.plan.pure import is_pure
from caffe.runners.module_runner import ModuleRunner, SplitRunner
from caffe.runners.runner import LayerRunner


def is_repeatable(layer: LayerRunner) -> TypeGuard[ModuleRunner]:
    """Whether a layer is pure; not so while somebody has an array of one of its learnable blobs,
    which may be written to unseen."""
    return (is_pure(layer) and bool(layer.bottoms)
            and not any(blob.values.is_held for blob in layer.blobs))


class _Repeat(NamedTuple):
    """A layer that runs once more: its learnable tensors, and the ids of its blobs' memories."""

    module: nn.Module
    params: dict[str, Tensor]
    bottoms: tuple[int, ...]
    tops: tuple[int, ...]

    def run(self, values: dict[int, Tensor]) -> None:
        """Takes the bottoms from the values, and puts the tops there."""
        bottoms = tuple(values[key] for key in self.bottoms)
        tops = functional_call(self.module, self.params, bottoms)
        values.update(zip(self.tops, tops if isinstance(tops, tuple) else (tops,)))


class AbsentBlobs:
    """The blobs that a plan leaves out, and the way to compute them.

    It keeps neither blobs nor layers alive: a blob that outlives its net keeps this alive, and with
    it what its values are computed from.

    visible   ids of the Memory of blobs that must not be left out, as they have been read
    times     how often the blobs had to be computed, which costs a pass through the layers
    is_passing   whether a planned pass is under way
    """

    def __init__(self, visible: set[int]) -> None:
        self.times = 0
        self.is_passing = False
        self._visible = visible
        self._absent: WeakValueDictionary[int, Memory] = WeakValueDictionary()
        # in the order of the net: a layer, or the id of a memory that was kept
        self._program: list[_Repeat | int] = []
        self._kept: dict[int, Tensor] = {}

    def plan(self, layers: Sequence[LayerRunner], absent: Mapping[int, Memory],
             copies: bool) -> tuple[dict[int, list[Memory]], list[ModuleRunner]]:
        """Says which memories will be absent, by their ids.

        Returns the memories to `keep`, {place of the layer after which: memories}, and the layers
        that would run, whose learnable blobs must be as they are now.

        copies: whether the learnable blobs are copied and the layers run from the blobs that are
        there. Else a blob that is about to change first has all that is absent computed, and the
        layers run from the net's inputs.
        """
        self._absent, self._program, self._kept = WeakValueDictionary(absent), [], {}
        keeps: dict[int, list[Memory]] = {}
        repeated: list[ModuleRunner] = []
        needed = set(absent)
        for place, layer in reversed(list(enumerate(layers))):
            made = {id(top.values): top.values for top in layer.tops if id(top.values) in needed}
            if not made or isinstance(layer, SplitRunner):
                continue
            needed -= set(made)
            if is_repeatable(layer) and (not copies or any(key in absent for key in made)):
                bottoms, tops = (tuple(id(blob.values) for blob in blobs)
                                 for blobs in (layer.bottoms, layer.tops))
                self._program.append(_Repeat(layer.module, self._tensors(layer, copies), bottoms,
                                             tops))
                repeated.append(layer)
                needed |= set(bottoms)
            else:
                self._program += made
                keeps[place] = list(made.values())
        self._program.reverse()
        return keeps, repeated

    def _tensors(self, layer: ModuleRunner, copies: bool) -> dict[str, Tensor]:
        """The learnable tensors of a layer, by the module's names for them."""
        for blob in layer.blobs:
            if not (copies or blob.values.is_lent):
                blob.values.watch(self._compute_before_a_change)
        return {name: parameter.detach().clone() if copies or blob.values.is_lent
                else parameter.detach()
                for (name, parameter), blob in zip(layer.module.named_parameters(), layer.blobs)}

    def keep(self, memory: Memory) -> None:
        """Keeps the values that a memory has at this moment of a pass."""
        self._kept[id(memory)] = memory.keep().float()

    def leave_out(self, memory: Memory, shape: Shape) -> None:
        """New values of this shape are left out until they are read."""
        memory.defer(shape, functools.partial(self._read, id(memory)))

    def let_go(self, memory: Memory) -> None:
        """The values of a memory are left out from now on, unless somebody has their array."""
        if not memory.is_held:
            self.leave_out(memory, memory.shape)

    def _read(self, key: int) -> None:
        self._visible.add(key)
        self.compute()

    def _compute_before_a_change(self) -> None:
        if not self.is_passing:     # else the pass replaces all that is absent
            self.compute()

    @torch.no_grad()
    def compute(self) -> None:
        """Computes those that nobody has computed or replaced yet; amid a pass, those that what the
        pass has kept so far leads to."""
        absent = {key: memory for key, memory in self._absent.items() if memory.is_deferred}
        if not absent:
            return
        self.times += 1
        values: dict[int, Tensor] = {}
        for entry in self._program:
            if isinstance(entry, _Repeat):
                entry.run(values)
            elif entry in self._kept:
                values[entry] = self._kept[entry]
            else:
                break
        for key, memory in absent.items():
            if key in values:
                memory.fulfil(values[key])
        if not self.is_passing:
            self._kept = {}

    def forget(self) -> None:
        """After a pass that failed: what is absent of it is 0."""
        for memory in list(self._absent.values()):
            if memory.is_deferred:
                memory.unset()
        self._kept = {}


def last_uses(layers: Sequence[LayerRunner], steps: Sequence[Collection[LayerRunner]],
              kept: Collection[int]) -> dict[int, list[Memory]]:
    """{number of a step: memories that no later one reads}, of those that can be computed again.

    steps: the layers of each step; kept: ids of memories that are none of these.
    """
    makers = {id(top.values): layer for layer in layers for top in layer.tops
              if not isinstance(layer, SplitRunner)}
    fixed = {*kept, *(id(blob.values) for layer in layers
                         for blob in (*layer.same_memory, *layer.losses))}
    fixed |= {id(top.values) for layer in layers if layer.same_memory for top in layer.tops}
    memories, last = {}, {}
    read: set[int] = set()
    for number, step in enumerate(steps):
        for layer in step:
            if isinstance(layer, SplitRunner):
                continue
            for blob in layer.bottoms:
                read.add(id(blob.values))
            for blob in layer.tops:
                read.discard(id(blob.values))
            for blob in (*layer.bottoms, *layer.tops):
                memories[id(blob.values)], last[id(blob.values)] = blob.values, number
    leaving: dict[int, list[Memory]] = {}
    for key, number in last.items():
        if key in read and key not in fixed and key in makers and is_repeatable(makers[key]):
            leaving.setdefault(number, []).append(memories[key])
    return leaving
