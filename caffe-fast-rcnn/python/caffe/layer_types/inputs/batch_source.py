"""The base of layers that bring batches into a net; each type says where its items come from.

Items flow through Python iterators: `own_share` of them, `batches` of the transformed ones; an
iterator must not know the layer, or the thread that reads ahead would keep the layer alive.
"""
import contextlib
import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from google.protobuf.message import Message
from torch import Tensor

from caffe.core import state
from caffe.core.errors import CaffeError, DataError, LayerError
from caffe.core.prefetch import Prefetcher
from caffe.layer_types.common.module import Shape, Shapes
from caffe.layer_types.inputs.data_transformer import DataTransformer
from caffe.layer_types.inputs.source import Source
from caffe.proto.caffe_pb2 import LayerParameter

log = logging.getLogger("caffe")
Item = tuple[str, np.ndarray, int]      # where it comes from, image (C, H, W), label
_Element = TypeVar("_Element")
_LEGACY_FIELDS = ("scale", "mean_file", "crop_size", "mirror")


def own_share(items: Iterable[_Element], phase: int) -> Iterator[_Element]:
    """In training, the items of an endless iterator that this solver reads, of several solvers.

    Caffe: solver number r of n reads the items r, r + n, ... (DataLayer::Skip).
    """
    if phase == state.TEST:
        return iter(items)
    return itertools.islice(items, state.solver_rank(), None, state.solver_count())


def listed_forever(listed: Iterable[_Element], options: Message,
                   generator: np.random.Generator) -> Iterator[_Element]:
    """The lines of a list again and again, with the options' source, rand_skip and shuffle.

    The first pass leaves out a number of them that is drawn below rand_skip; with shuffle they come
    in a new order in each pass.
    """
    listed = list(listed)
    skip = int(generator.integers(options.rand_skip)) if options.rand_skip else 0
    if skip >= len(listed):
        raise DataError(f"{options.source}: rand_skip came out as {skip}, but there are only "
                        f"{len(listed)} images")
    return _passes(listed, skip, generator if options.shuffle else None)


def _passes(listed: list[_Element], skip: int,
            generator: np.random.Generator | None) -> Iterator[_Element]:
    while True:
        if generator is not None:
            generator.shuffle(listed)
        yield from listed[skip:]
        skip = 0


def peeked(iterator: Iterator[_Element]) -> tuple[_Element, Iterator[_Element]]:
    """(first item, the iterator with this item still in it)."""
    first = next(iterator)
    return first, itertools.chain([first], iterator)


@contextlib.contextmanager
def located(where: str) -> Iterator[None]:
    """Says where an item comes from in the DataErrors of the block."""
    try:
        yield
    except DataError as problem:
        raise DataError(f"{where}: {problem}") from None


def batches(items: Iterator[Item], batch_size: int,
            transformer: DataTransformer) -> Iterator[list[np.ndarray]]:
    """Endless [data (N, C, H, W), labels (N,)], float32, from an endless iterator of items.

    items: (where, image (C, H, W), label). All images of a batch must make tops of one shape, which
    may differ from batch to batch; `where` begins the message of a DataError.
    """
    while True:
        data: np.ndarray = np.empty(0, np.float32)
        labels = np.empty(batch_size, np.float32)
        transformer.start_batch()
        for i, (where, image, label) in enumerate(itertools.islice(items, batch_size)):
            with located(where):
                if i == 0:
                    data = np.empty((batch_size, *transformer.top_shape(image.shape)), np.float32)
                transformer.apply(image, data[i])
            labels[i] = label
        yield [data, labels]


def _tensors(arrays: Iterator[list[np.ndarray]], pinned: bool) -> Iterator[list[Tensor]]:
    for batch in arrays:
        tensors = [torch.from_numpy(array) for array in batch]
        yield [tensor.pin_memory() for tensor in tensors] if pinned else tensors


class BatchSource(Source):
    """Base of the layers without bottoms that read batches, data_param's `prefetch` of them ahead.

    A type's constructor checks its parameters and calls `feed` or `feed_images`.
    """

    fresh_tops = True
    _batches: Iterator[list[np.ndarray]]

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self._prefetcher: Prefetcher | None = None
        self._shapes: list[Shape] = []

    def feed(self, arrays: Iterator[list[np.ndarray]], shapes: Sequence[Shape]) -> None:
        """Takes the endless iterator of lists of float32 arrays, and the shapes of the first."""
        self._batches, self._shapes = arrays, list(shapes[:len(self.param.top)])

    def feed_images(self, items: Iterator[Item], batch_size: int,
                    transformer: DataTransformer) -> None:
        """Feeds the images of an endless iterator (see batches), transformed."""
        (where, image, _), items = peeked(items)
        with located(where):
            shape = transformer.top_shape(image.shape)
        self.feed(batches(items, batch_size, transformer),
                  [(batch_size, *shape), (batch_size,)])

    def positive(self, value: int, field: str) -> int:
        """The value of a field that must be given."""
        if value <= 0:
            raise self.error(f"expected {field} > 0, got {value}")
        return value

    def warn_of_legacy_fields(self, options: Message,
                              fields: Sequence[str] = _LEGACY_FIELDS) -> None:
        """Caffe 1.0 looks for these settings in transform_param only."""
        for field in fields:
            if options.HasField(field):
                log.warning('layer "%s" (%s): %s has no effect here; write it in '
                            "transform_param", self.name, self.type, field)

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Names this layer in what the engine refuses inside the block."""
        try:
            yield
        except LayerError:
            raise
        except CaffeError as problem:
            raise self.error(str(problem)) from None

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        return self._shapes

    def forward(self) -> tuple[Tensor, ...]:
        if self._prefetcher is None:
            arrays = _tensors(self._batches, self.where.is_cuda)
            self._prefetcher = Prefetcher(arrays, self.param.data_param.prefetch)
        with self.named():
            tensors = self._prefetcher.next()
        return tuple(tensor.to(self.where, non_blocking=True)
                     for tensor in tensors[:len(self.param.top)])
