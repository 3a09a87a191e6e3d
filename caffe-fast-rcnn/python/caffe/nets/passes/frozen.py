"""The frozen layers at the beginning of a training net, and what they made of each image.

    net.passes.keep_features(2 << 30, lambda: ["0001.jpg", "0002.jpg mirrored"])

Frozen layers make the same features of the same image in every epoch. A FeatureCache keeps them in
main memory, image by image, up to a limit; a pass whose images are all known takes theirs and
leaves the frozen layers out. The numbers are the same to the last bit.
"""
import hashlib
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from caffe.core.blob import Blob
from caffe.core.memory import Memory
from caffe.nets.passes.silent import LeftOut, is_pure_and_frozen, works_in_place
from caffe.runners.module_runner import SplitRunner
from caffe.runners.runner import LayerRunner

Keys = Callable[[], Sequence[Hashable] | None]


class FeatureCache:
    """Tensors of single images by key, float32 or bfloat16 as the net has them, `limit` bytes at
    most.

    What is in stays: an epoch shows every image once, so that a cache that drops its oldest images
    would drop each before it is needed.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self.hits = self.misses = 0
        self._known: dict[Hashable, list[Tensor]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, keys: Sequence[Hashable]) -> list[Tensor] | None:
        """Batches of the images of these keys, one per blob; None unless all are known."""
        found = [self._known.get(key) for key in keys]
        rows = [tensors for tensors in found if tensors is not None]
        if len(rows) < len(found):
            self.misses += 1
            return None
        self.hits += 1
        return [torch.cat(parts) if len(parts) > 1 else parts[0] for parts in zip(*rows)]

    def add(self, keys: Sequence[Hashable], batches: Sequence[Tensor]) -> None:
        """Keeps copies of the rows of batches, (N, ...) for N keys, as long as there is room."""
        size = sum(batch[:1].nbytes for batch in batches)
        for row, key in enumerate(keys):
            if key not in self._known and self.size + size <= self.limit:
                self._known[key] = [batch[row:row + 1].detach().to("cpu", copy=True)
                                    for batch in batches]
                self.size += size

    def clear(self) -> None:
        """Forgets all images."""
        self._known.clear()
        self.size = 0


class FrozenPart:
    """The frozen layers behind the first layer, which gives the images, and their cache.

    features: what the layers above read of them.
    layers: of the net; silent: positions of those that are left out anyway; outputs: the blobs that
    no layer takes; keys: what decides the image in each row of the last batch, or None.
    """

    def __init__(self, layers: Sequence[LayerRunner], silent: Sequence[int],
                 outputs: Sequence[Blob], keys: Keys, limit: int) -> None:
        self.cache = FeatureCache(limit)
        self._keys = keys
        self._images = layers[0].tops[0] if layers and layers[0].tops else None
        self.places = self._find(layers, silent)
        self._layers = [layers[place] for place in self.places]
        others = [layer for place, layer in enumerate(layers)
                  if place not in self.places and place not in silent]
        read = {id(blob.values) for layer in others for blob in layer.bottoms}
        read |= {id(blob.values) for blob in outputs}
        made = {id(top.values): top.values for layer in self._layers for top in layer.tops
                if not isinstance(layer, SplitRunner)}
        self.features: list[Memory] = [m for key, m in made.items() if key in read]
        self._left_out = LeftOut(self._layers)
        self._weights = [blob for layer in self._layers for blob in layer.blobs]
        self._stamps: list[object] = []
        self._hash = b""

    def _find(self, layers: Sequence[LayerRunner], silent: Sequence[int]) -> list[int]:
        """The positions of the frozen layers: those from the second on that see images only."""
        images = set() if self._images is None else {id(self._images.values)}
        known, places = set(images), []
        for place, layer in enumerate(layers[1:], 1):
            if place in silent or not layer.bottoms:
                continue
            bottoms = {id(bottom.values) for bottom in layer.bottoms}
            changes_images = not isinstance(layer, SplitRunner) and works_in_place(layer) & images
            if changes_images or not (is_pure_and_frozen(layer) and bottoms <= known):
                break
            places.append(place)
            known.update(id(top.values) for top in layer.tops)
        return places

    def run(self, record: bool, drops: bool = False) -> None:
        """Sets what the layers above read: from the cache, or by running the frozen layers; drops:
        whether the rest is forgotten then."""
        keys = self._keys_now()
        found = None if keys is None else self.cache.find(keys)
        if found is None:
            for layer in self._layers:
                layer.forward(record)
            if keys is not None:
                self.cache.add(keys, [memory.as_is() for memory in self.features])
            if drops:
                self._left_out.defer(kept=self.features)
            return
        for memory, tensor in zip(self.features, found):
            memory.set(tensor.to(memory.device), owned=False)
        self._left_out.defer(kept=self.features)

    def compute(self) -> None:
        """Computes the blobs that the last pass left out."""
        self._left_out.compute()

    def _keys_now(self) -> list[Hashable] | None:
        """Keys of the images in the batch; its shape belongs to them, for borders are in it."""
        keys = self._keys()
        if keys is None or self._images is None or len(keys) != self._images.shape[0]:
            return None
        self._forget_if_changed()
        return [(key, self._images.shape) for key in keys]

    def _forget_if_changed(self) -> None:
        """Clears the cache where a weight is another number than when its entries were made."""
        if any(blob.values.is_held for blob in self._weights):
            self._stamps = []       # somebody may write to them unseen
        stamps: list[object] = [(blob.values, blob.values.stamp()) for blob in self._weights]
        if self._stamps and stamps == self._stamps:
            return
        digest = hashlib.blake2b()
        for blob in self._weights:
            digest.update(blob.values.get().detach().cpu().contiguous().numpy())
        if digest.digest() != self._hash:
            self.cache.clear()
        self._stamps, self._hash = stamps, digest.digest()
