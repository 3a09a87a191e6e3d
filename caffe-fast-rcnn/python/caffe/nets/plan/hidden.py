"""Blobs inside a chain: nobody computes them, until somebody reads one.

Then the layers of the chain run one by one, from the bottoms and the learnable blobs that they had
in the pass, in float32. The blob that was read is remembered, and the next plan does not hide it
any more.
"""
import functools

import torch
from torch import Tensor
from torch.func import functional_call

from caffe.core.blob import Blob
from caffe.nets.plan.chains import Chain


class HiddenBlobs:
    """The hidden blobs of one chain; visible: where the id of a blob that is read is noted."""

    def __init__(self, chain: Chain, visible: set[int]) -> None:
        self.blobs, self._visible = chain.hidden, visible
        ids = {id(blob) for blob in self.blobs}
        makers = [i for i, layer in enumerate(chain.layers) if id(layer.tops[0]) in ids]
        self._layers = chain.layers[:makers[-1] + 1] if makers else []
        self._params = [{name: parameter.detach().clone()
                         for name, parameter in layer.module.named_parameters()}
                        for layer in self._layers]
        made = {id(layer.tops[0]) for layer in self._layers}
        self._bottoms = [chain.host.bottoms[0]]
        self._bottoms += [blob for layer in self._layers[1:] for blob in layer.bottoms
                          if id(blob) not in made]
        self._kept: list[Tensor] = []

    def defer(self, top: Tensor) -> None:
        """After a pass: leaves the blobs, which have the top's shape, to be computed on demand."""
        self._kept = [blob.values.keep() for blob in self._bottoms]
        for blob in self.blobs:
            blob.values.defer(tuple(top.shape), functools.partial(self._read, blob))

    def _read(self, blob: Blob) -> None:
        self._visible.add(id(blob))
        self.compute()

    @torch.no_grad()
    def compute(self) -> None:
        """Computes those that nobody has computed or replaced yet."""
        if not any(blob.values.is_deferred for blob in self.blobs):
            return
        values = {id(blob): kept.float() for blob, kept in zip(self._bottoms, self._kept)}
        for layer, params in zip(self._layers, self._params):
            bottoms = tuple(values[id(blob)] for blob in layer.bottoms)
            values[id(layer.tops[0])] = functional_call(layer.module, params, bottoms)
        for blob in self.blobs:
            if blob.values.is_deferred:
                blob.values.set(values[id(blob)])
        self._kept = []
