"""The private names that pycaffe's compiled Net has, for programs that use them."""
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from caffe.core.blob import Blob


class PrivateNames:
    """Access to the blobs (in order of appearance) and layers of a caffe.Net by index.

    _blobs, _blob_names, _layer_names   lists, which the net sets
    """

    _blobs: list[Blob]
    _blob_names: list[str]
    _layer_names: list[str]
    _runners: list[Any]
    inputs: list[str]
    outputs: list[str]
    blob_loss_weights: Mapping[str, float]
    run_forward: Any
    run_backward: Any
    set_input_arrays: Any
    _batches: Any

    @property
    def _inputs(self) -> list[int]:
        """Indices of the input blobs."""
        return [self._blob_names.index(name) for name in self.inputs]

    @property
    def _outputs(self) -> list[int]:
        """Indices of the output blobs."""
        return [self._blob_names.index(name) for name in self.outputs]

    @property
    def _blob_loss_weights(self) -> list[float]:
        """A weight per blob."""
        return list(self.blob_loss_weights.values())

    def _bottom_ids(self, layer: int) -> list[int]:
        """Indices of the bottoms of the layer of this index."""
        return self._indices(self._runners[layer].bottoms)

    def _top_ids(self, layer: int) -> list[int]:
        """Indices of the tops of the layer of this index."""
        return self._indices(self._runners[layer].tops)

    def _indices(self, blobs: Sequence[Blob]) -> list[int]:
        indices = {id(blob): index for index, blob in enumerate(self._blobs)}
        return [indices[id(blob)] for blob in blobs]

    def _forward(self, start: int, end: int) -> float:
        """Runs the layers of index `start` to `end`; returns the weighted sum of their losses."""
        return float(self.run_forward(start, end))

    def _backward(self, start: int, end: int) -> None:
        """Runs the layers of index `start` down to `end` backwards."""
        self.run_backward(start, end)

    def _set_input_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        """As set_input_arrays."""
        self.set_input_arrays(data, labels)

    def _batch(self, blobs: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        """Yields {name: array} of the net's batch size; the last is filled up with 0."""
        for batch, _ in self._batches(blobs):
            yield batch
