"""The base of layers that bring batches into a net; each type says where its items come from.

Items flow through Python iterators: `own_share` of them, `batches` of the transformed ones; an
iterator must not know the layer, or the thread that reads ahead would keep the layer alive.
"""
import contextlib
import itertools
import logging

import numpy as np
import torch

from caffe.core import state
from caffe.core.errors import CaffeError, DataError, LayerError
from caffe.core.prefetch import Prefetcher
from caffe.layer_types.inputs.source import Source

log = logging.getLogger("caffe")


def own_share(items, phase):
    """In training, the items of an endless iterator that this solver reads, of several solvers.

    Caffe: solver number r of n reads the items r, r + n, ... (DataLayer::Skip).
    """
    if phase == state.TEST:
        return iter(items)
    return itertools.islice(items, state.solver_rank(), None, state.solver_count())


def peeked(iterator):
    """(first item, the iterator with this item still in it)."""
    first = next(iterator)
    return first, itertools.chain([first], iterator)


def batches(items, batch_size, transformer):
    """Endless [data (N, C, H, W), labels (N,)], float32, from an endless iterator of items.

    items: (where, image (C, H, W), label). All images of a batch must make tops of one shape, which
    may differ from batch to batch; `where` begins the message of a DataError.
    """
    while True:
        data, labels = None, np.empty(batch_size, np.float32)
        for i, (where, image, label) in enumerate(itertools.islice(items, batch_size)):
            try:
                if data is None:
                    data = np.empty((batch_size, *transformer.top_shape(image.shape)), np.float32)
                transformer.apply(image, data[i])
            except DataError as problem:
                raise DataError(f"{where}: {problem}") from None
            labels[i] = label
        yield [data, labels]


def _tensors(arrays, pinned):
    for batch in arrays:
        tensors = [torch.from_numpy(array) for array in batch]
        yield [tensor.pin_memory() for tensor in tensors] if pinned else tensors


class BatchSource(Source):
    """Base of the layers without bottoms that read batches, data_param's `prefetch` of them ahead.

    A type's constructor checks its parameters and calls `feed` or `feed_images`.
    """

    fresh_tops = True

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        self._batches = self._prefetcher = None
        self._shapes = []

    def feed(self, arrays, shapes):
        """Takes the endless iterator of lists of float32 arrays, and the shapes of the first."""
        self._batches, self._shapes = arrays, shapes[:len(self.param.top)]

    def feed_images(self, items, batch_size, transformer):
        """Feeds the images of an endless iterator (see batches), transformed."""
        (where, image, _), items = peeked(items)
        try:
            shape = transformer.top_shape(image.shape)
        except DataError as problem:
            raise DataError(f"{where}: {problem}") from None
        self.feed(batches(items, batch_size, transformer),
                  [(batch_size, *shape), (batch_size,)])

    def positive(self, value, field):
        """The value of a field that must be given."""
        if value <= 0:
            raise self.error(f"expected {field} > 0, got {value}")
        return value

    def warn_of_legacy_fields(self, options, fields=("scale", "mean_file", "crop_size", "mirror")):
        """Caffe 1.0 looks for these settings in transform_param only."""
        for field in fields:
            if options.HasField(field):
                log.warning('layer "%s" (%s): %s has no effect here; write it in '
                            "transform_param", self.name, self.type, field)

    @contextlib.contextmanager
    def named(self):
        """Names this layer in what the engine refuses inside the block."""
        try:
            yield
        except LayerError:
            raise
        except CaffeError as problem:
            raise self.error(str(problem)) from None

    def top_shapes(self, shapes):
        return self._shapes

    def forward(self):
        if self._prefetcher is None:
            arrays = _tensors(self._batches, self.where.is_cuda)
            self._prefetcher = Prefetcher(arrays, self.param.data_param.prefetch)
        with self.named():
            tensors = self._prefetcher.next()
        return tuple(tensor.to(self.where, non_blocking=True)
                     for tensor in tensors[:len(self.param.top)])
