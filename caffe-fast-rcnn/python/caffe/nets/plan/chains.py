"""Which layers can be carried out by the convolution or product before them.

    chains = find_chains(runners, visible=set())

A chain is a host (Convolution or InnerProduct) and the layers behind it, each of which alone reads
the top of the one before. In this order, each at most once but the first and the last kind:

    BatchNorm, Scale, Bias   become the host's weights
    Eltwise SUM              the other bottom is there before the host runs
    an activation            ACTIVATIONS
    Dropout                  where it changes nothing
"""
from collections.abc import Collection, Sequence
from typing import NamedTuple, TypeGuard

import torch

from caffe.core.blob import Blob
from caffe.layer_types.maps.convolution import Convolution
from caffe.layer_types.values.activation import ReLU, ReLU6, Sigmoid, TanH
from caffe.layer_types.values.arithmetic import Clip, Dropout
from caffe.layer_types.values.dense import InnerProduct
from caffe.layer_types.values.elementwise import Eltwise
from caffe.nets.plan.folding import is_affine
from caffe.runners.module_runner import ModuleRunner
from caffe.runners.runner import LayerRunner


class Activation(NamedTuple):
    """An activation by the name that oneDNN's operators have for it in PyTorch, and its numbers."""

    name: str
    scalars: tuple[float, ...] = ()


class Chain:
    """A host and the layers that it carries out; grown layer by layer.

    layers     ModuleRunners, the host first         places     their positions in the net
    affine     those that become the host's weights
    residual   the Blob that an Eltwise adds         activation
    """

    def __init__(self, place: int, host: ModuleRunner) -> None:
        self.layers, self.places = [host], [place]
        self.affine: list[ModuleRunner] = []
        self.residual: Blob | None = None
        self.activation: Activation | None = None

    @property
    def host(self) -> ModuleRunner:
        return self.layers[0]

    @property
    def top(self) -> Blob:
        """The blob that the chain computes."""
        return self.layers[-1].tops[0]

    @property
    def hidden(self) -> list[Blob]:
        """The blobs inside, which it does not compute."""
        found = {id(layer.tops[0]): layer.tops[0] for layer in self.layers}
        del found[id(self.top)]
        return list(found.values())

    def takes(self, place: int, layer: LayerRunner, earlier: Sequence[LayerRunner]) -> bool:
        """Adds the layer behind the last one, if it can be carried out.

        earlier: the layers between the host and this one, which run after the host.
        """
        if not isinstance(layer, ModuleRunner) or layer.losses or layer.same_memory \
                or not self._notes(layer, earlier):
            return False
        self.layers.append(layer)
        self.places.append(place)
        return True

    def _notes(self, layer: ModuleRunner, earlier: Sequence[LayerRunner]) -> bool:
        """Notes what a layer does; False where nothing here can do that."""
        module, activation = layer.module, activation_of(layer)
        if isinstance(module, Dropout):
            return not module.drops and module.scale_train
        if self.activation is not None:
            return False
        if activation is not None:
            self.activation = activation
            return True
        if self.residual is not None:
            return False
        if isinstance(module, Eltwise):
            return self._takes_sum(layer, module, earlier)
        if is_affine(layer.param) and getattr(module, "use_global", True):
            self.affine.append(layer)
            return True
        return False

    def _takes_sum(self, layer: ModuleRunner, module: Eltwise,
                   earlier: Sequence[LayerRunner]) -> bool:
        others = [blob for blob in layer.bottoms if blob is not self.top]
        if not module.is_plain_sum or len(layer.bottoms) != 2 or len(others) != 1:
            return False
        if any(top is others[0] for between in earlier for top in between.tops):
            return False
        self.residual = others[0]
        return True


def activation_of(layer: ModuleRunner) -> Activation | None:
    """The Activation that a layer is, if oneDNN's operators have it."""
    module = layer.module
    if isinstance(module, ReLU):
        return Activation("leaky_relu", (module.slope,)) if module.slope else Activation("relu")
    if isinstance(module, ReLU6):
        return None if module.slope else Activation("hardtanh", (0.0, 6.0))
    if isinstance(module, Clip):
        limits = module.min, module.max
        return Activation("hardtanh", limits) if module.min <= module.max else None
    if isinstance(module, Sigmoid):
        return Activation("sigmoid")
    return Activation("tanh") if isinstance(module, TanH) else None


def find_chains(layers: Sequence[LayerRunner], visible: Collection[int]) -> dict[int, Chain]:
    """{position of the host: Chain} of all that can be planned.

    visible: ids of the Memory of blobs that must not be hidden.
    """
    readers = _readers(layers)
    chains: dict[int, Chain] = {}
    for place, layer in enumerate(layers):
        if not is_host(layer):
            continue
        chain = Chain(place, layer)
        while chain.places[-1] in readers:
            following = readers[chain.places[-1]]
            follower = layers[following]
            if len(follower.tops) != 1 or _hides(chain, follower, visible):
                break
            if not chain.takes(following, follower, layers[place:following]):
                break
        chains[place] = chain
    return chains


def _hides(chain: Chain, follower: LayerRunner, visible: Collection[int]) -> bool:
    """Whether a blob that must not be hidden would be, if the chain took this layer."""
    return follower.tops[0] is not chain.top and id(chain.top.values) in visible


def is_host(layer: LayerRunner) -> TypeGuard[ModuleRunner]:
    """Whether a layer is a Convolution over two axes or an InnerProduct, of one float32 bottom."""
    if not isinstance(layer, ModuleRunner) or layer.losses or len(layer.bottoms) != 1:
        return False
    module = layer.module
    if not isinstance(module, (Convolution, InnerProduct)) or module.axis != 1:
        return False
    if isinstance(module, Convolution) and len(module.windows.kernel) != 2:
        return False
    return all(blob.parameter.dtype == torch.float32 for blob in layer.blobs)


def _readers(layers: Sequence[LayerRunner]) -> dict[int, int]:
    """{position of a layer with one top: position of the layer that reads it}.

    There is one at most: what several layers read goes through a Split.
    """
    writers: dict[int, int] = {}
    readers: dict[int, int] = {}
    for place, layer in enumerate(layers):
        for blob in layer.bottoms:
            if id(blob) in writers:
                readers[writers.pop(id(blob))] = place
        if len(layer.tops) == 1:
            writers[id(layer.tops[0])] = place
    return readers
