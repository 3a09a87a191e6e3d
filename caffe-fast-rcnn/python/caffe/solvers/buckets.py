"""Gradients that are exchanged together: few messages of a few megabytes instead of one per blob.

A message costs its bytes and a fixed time. Buckets are filled in the order in which a backward
pass completes gradients, the last layer's first, so that a full one travels while the pass goes on
(Li et al. 2020, PyTorch Distributed, section 3.2.3).
"""
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, distributed

from caffe.core.blob import Blob
from caffe.core.errors import CaffeError

CAPACITY = 4 << 20      # bytes; a larger blob is a bucket of its own
_BYTES = 4              # of a float32


class Bucket:
    """Blobs whose gradients lie side by side in one float32 tensor while they are summed up."""

    def __init__(self, blobs: Sequence[Blob]) -> None:
        self.blobs = tuple(blobs)
        self.missing = {id(blob) for blob in blobs}     # gradients that are not complete yet
        # The tensor, and its part for each blob in Caffe's order of memory, which is the same in
        # all processes
        self._flat: Tensor = torch.empty(sum(blob.count for blob in blobs),
                                         device=blobs[0].gradient.device)
        parts = self._flat.split([blob.count for blob in blobs])
        self._parts = [(blob, part.view(blob.shape)) for blob, part in zip(blobs, parts)]
        self._exchange: Any = None

    @property
    def is_started(self) -> bool:
        return self._exchange is not None

    def start(self) -> None:
        """Copies the gradients and starts to sum them up over all processes."""
        for blob, part in self._parts:
            blob.gradient.fit(blob.shape)   # one of all zeros takes part: another's may be none
            part.copy_(blob.gradient.get().detach())
        self._exchange = together(distributed.all_reduce, self._flat, async_op=True)

    def finish(self, count: int) -> None:
        """Waits for the sums; the mean over `count` processes becomes the gradients."""
        together(self._exchange.wait)
        self._exchange, self.missing = None, {id(blob) for blob in self.blobs}
        self._flat.div_(count)
        for blob, part in self._parts:
            blob.gradient.copy_(part)


class Buckets:
    """The buckets of a net. All processes start them in the same order.

    by_layer: of every layer, in the net's order, the blobs whose gradients its backward pass
    completes; others: blobs that are complete only after the whole pass.
    """

    def __init__(self, by_layer: Sequence[Sequence[Blob]], others: Sequence[Blob] = (),
                 capacity: int = CAPACITY) -> None:
        early = [blob for blobs in reversed(by_layer) for blob in blobs]
        self.buckets = [Bucket(blobs) for some in (early, others)
                        for blobs in _filled(some, capacity)]
        self._of_blob = {id(blob): bucket for bucket in self.buckets for blob in bucket.blobs}

    def completed(self, blobs: Sequence[Blob]) -> None:
        """Says that the gradients of these blobs are complete; starts what can be started."""
        for blob in blobs:
            self._of_blob[id(blob)].missing.discard(id(blob))
        self._start(lambda bucket: not bucket.missing)

    def exchange(self, count: int) -> None:
        """Replaces all gradients by their mean over `count` processes."""
        self._start(lambda bucket: True)
        for bucket in self.buckets:
            bucket.finish(count)

    def _start(self, may_start: Callable[[Bucket], bool]) -> None:
        """Starts buckets in their order, up to the first that may not."""
        for bucket in self.buckets:
            if bucket.is_started:
                continue
            if not may_start(bucket):
                return
            bucket.start()


def together(collective: Any, *arguments: Any, **options: Any) -> Any:
    """Calls a collective operation; CaffeError when one of the processes has ended."""
    try:
        return collective(*arguments, **options)
    except RuntimeError as problem:
        raise CaffeError("the exchange with the other solvers broke off; did one of their "
                         f"processes end? ({problem})") from None


def _filled(blobs: Sequence[Blob], capacity: int) -> list[list[Blob]]:
    """The blobs in their order, as many in a bucket as fit."""
    filled: list[list[Blob]] = []
    room = 0
    for blob in blobs:
        size = blob.count * _BYTES
        if not filled or size > room:
            filled.append([])
            room = capacity
        filled[-1].append(blob)
        room -= size
    return filled
