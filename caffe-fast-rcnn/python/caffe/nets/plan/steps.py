"""What a plan runs, one after the other: layers as they are, and chains of layers in one go."""
from collections.abc import Sequence

import torch
from torch import Tensor

from caffe.core.blob import Blob
from caffe.layer_types.common.module import Shape
from caffe.nets.plan.absent import AbsentBlobs
from caffe.nets.plan.chains import Chain
from caffe.nets.plan.kernels import Kernel, folded_weights, make_kernel
from caffe.runners.runner import LayerRunner


def run_layer(layer: LayerRunner, record: bool) -> Tensor | float:
    """A layer's forward pass; returns what it adds to the objective."""
    layer.forward(record)
    if layer.same_memory:
        layer.spread_in_place()
    return layer.loss() if layer.losses else 0.0


class LayerStep:
    """A layer as it is."""

    def __init__(self, layer: LayerRunner) -> None:
        self.layer = layer
        self.layers = [layer]

    def run(self) -> Tensor | float:
        """Computes the tops; returns what the layer adds to the objective."""
        return run_layer(self.layer, False)


class ChainStep:
    """A chain; for bottoms that its kernel cannot take (empty ones), its layers one by one.

    hidden: the memories of the blobs inside, which are left out.
    """

    def __init__(self, chain: Chain, absent: AbsentBlobs) -> None:
        self.chain, self.layers = chain, chain.layers
        self.hidden = [blob.values for blob in chain.hidden]
        self._absent = absent
        self._bottom, self._top = chain.host.bottoms[0], chain.top
        self._weights = folded_weights(chain)
        self._shape: Shape | torch.Size = ()
        self._kernel: Kernel | None = None

    def run(self) -> float:
        """Computes the chain's top, and leaves the hidden blobs to be computed on demand."""
        x = self._read(self._bottom)
        residual = None if self.chain.residual is None else self._read(self.chain.residual)
        if x.shape != self._shape:
            self._prepare(x)
        if self._kernel is None or (residual is not None and residual.shape != self._top_shape):
            for layer in self.chain.layers:
                run_layer(layer, False)
            return 0.0
        top = self._kernel(x, residual)
        self._top.values.set(top)
        self._top.values.fresh = True
        for memory in self.hidden:
            self._absent.leave_out(memory, tuple(top.shape))
        return 0.0

    def _read(self, blob: Blob) -> Tensor:
        """The blob's tensor in the type of the chain's factors."""
        factors = self.chain.host.factors
        if factors == torch.float32:
            return blob.values.get()
        return blob.values.as_is().to(factors)

    def _prepare(self, x: Tensor) -> None:
        self._kernel = None
        self._shape, self._top_shape = x.shape, self._shape_of_top(x.shape)
        if x.numel() and x.dtype == self.chain.host.factors:
            self._kernel = make_kernel(self.chain, self._weights, tuple(x.shape))

    def _shape_of_top(self, shape: Shape) -> Shape:
        return self.chain.host.module.top_shapes([tuple(shape)])[0] or ()


Step = LayerStep | ChainStep


def make_steps(layers: Sequence[LayerRunner], chains: dict[int, ChainStep]) -> list[Step]:
    """The steps of a net, in the order of its layers; chains: by the host's position."""
    carried_out = {place for step in chains.values() for place in step.chain.places}
    return [chains[place] if place in chains else LayerStep(layer)
            for place, layer in enumerate(layers) if place in chains or place not in carried_out]
