"""Branches of a training net that nobody looks at: their layers end in Silence.

A whole pass leaves them out. Who reads a blob of theirs has its values computed then, from what the
blobs below hold.
"""
from collections.abc import Iterable, Sequence

import torch

from caffe.core.blob import Blob
from caffe.core.memory import Memory
from caffe.core.types import Shape
from caffe.nets.plan.pure import is_pure
from caffe.runners.module_runner import ModuleRunner, SplitRunner
from caffe.runners.runner import LayerRunner


def is_pure_and_frozen(layer: LayerRunner) -> bool:
    """Whether a layer computes the same tops from the same bottoms all through a training."""
    return ((isinstance(layer, SplitRunner) or is_pure(layer))
            and not (layer.need_backward or any(layer.param_propagate_down)))


def silent_places(layers: Sequence[LayerRunner], outputs: Iterable[Blob]) -> list[int]:
    """The positions of the layers whose tops only Silence takes, and of Silence; outputs: the blobs
    that no layer takes.
    """
    needed = {id(blob.values) for blob in outputs}
    silent = []
    for place in reversed(range(len(layers))):
        layer = layers[place]
        if is_pure_and_frozen(layer) and needed.isdisjoint(id(top.values) for top in layer.tops):
            silent.append(place)
        else:
            needed.update(id(bottom.values) for bottom in layer.bottoms)
    return _with_their_makers(layers, sorted(silent))


def _with_their_makers(layers: Sequence[LayerRunner], places: Sequence[int]) -> list[int]:
    """The places without layers that change, in place, what a layer elsewhere has made."""
    made: set[int] = set()
    kept = []
    for place in places:
        layer = layers[place]
        if isinstance(layer, SplitRunner) or works_in_place(layer) <= made:
            kept.append(place)
            made.update(id(top.values) for top in layer.tops)
    return kept


def works_in_place(layer: LayerRunner) -> set[int]:
    """The ids of the memories that are both bottom and top of a layer; of a Split all are."""
    return {id(top.values) for top in layer.tops} & {id(b.values) for b in layer.bottoms}


class LeftOut:
    """Pure layers that passes leave out; their tops are computed when one of them is read."""

    def __init__(self, layers: Sequence[LayerRunner]) -> None:
        self._layers = layers
        made = [top.values for layer in layers if not isinstance(layer, SplitRunner)
                for top in layer.tops]
        self._made: list[Memory] = list({id(memory): memory for memory in made}.values())
        self._shapes: dict[tuple[Shape, ...], list[Shape]] = {}

    def defer(self, kept: Sequence[Memory] = ()) -> None:
        """After a pass without these layers; kept: tops that were set all the same."""
        known = {id(memory) for memory in kept}
        for memory, shape in zip(self._made, self._shapes_now()):
            if id(memory) not in known:
                memory.defer(shape, self.compute)

    def _shapes_now(self) -> list[Shape]:
        """The shapes of all tops, for bottoms of the present shapes."""
        inner = {id(memory) for memory in self._made}
        key = tuple(bottom.shape for layer in self._layers for bottom in layer.bottoms
                    if id(bottom.values) not in inner)
        if key not in self._shapes:
            shapes = {id(bottom.values): bottom.shape for layer in self._layers
                      for bottom in layer.bottoms if id(bottom.values) not in inner}
            for layer in self._layers:
                if isinstance(layer, ModuleRunner):
                    tops = layer.module.top_shapes([shapes[id(b.values)] for b in layer.bottoms])
                    shapes.update((id(top.values), tuple(shape or ()))
                                  for top, shape in zip(layer.tops, tops))
            self._shapes[key] = [shapes[id(memory)] for memory in self._made]
        return self._shapes[key]

    @torch.no_grad()
    def compute(self) -> None:
        """Computes what nobody has read yet; what was read or replaced stays."""
        known = [(memory, memory.as_is()) for memory in self._made if not memory.is_deferred]
        if len(known) == len(self._made):
            return
        for layer in self._layers:
            layer.forward(record=False)
        for memory, tensor in known:
            memory.set(tensor, owned=False)
