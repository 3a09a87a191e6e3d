"""Items that threads make in advance, returned in their order.

    Prefetcher(iterator, ahead=3)                           # next(iterator) runs in a thread
    Prefetcher(names, ahead=2, make=read_image)             # read_image(name) runs in a thread
    Prefetcher(orders, ahead=8, make=minibatch, threads=4)  # in several
"""
import collections
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Prefetcher:
    """An iterator over items, which makes up to `ahead` of them in advance.

    items: an iterable. Without `make` the items are its elements, and a thread advances it. With
    `make` they are make(element): the caller's thread takes the elements, in their order and at
    most `ahead` early, and `threads` threads run `make`.
    The threads start with the first item, hold no reference to the Prefetcher and end with it.
    ahead=0: no threads; each item is made in `next`.
    """

    def __init__(self, items: Iterable[Any], ahead: int, make: Callable[[Any], Any] | None = None,
                 threads: int = 1) -> None:
        if make is None and threads != 1:
            raise ValueError(f"one thread at a time can advance an iterator, got threads={threads}")
        self._elements, self._ahead, self._make = iter(items), ahead, make
        self._pending: collections.deque[Future] = collections.deque()
        self._failure: Exception | None = None
        self._pool = ThreadPoolExecutor(threads, "prefetch") if ahead else None
        if self._pool is not None:
            weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self) -> Any:
        """The next item, or StopIteration.

        An exception of the items or of `make` surfaces when its item's turn comes, and again in
        every later call.
        """
        if self._failure is None:
            try:
                return self._take()
            except Exception as problem:
                self._failure = problem
        raise self._failure

    def _take(self) -> Any:
        if self._pool is None:
            element = next(self._elements)
            return element if self._make is None else self._make(element)
        while len(self._pending) <= self._ahead:
            self._pending.append(self._submitted(self._pool))
        return self._pending.popleft().result()

    def _submitted(self, pool: ThreadPoolExecutor) -> Future:
        """The Future of one more item; where the elements end or fail, it holds that exception."""
        if self._make is None:
            return pool.submit(next, self._elements)
        try:
            return pool.submit(self._make, next(self._elements))
        except Exception as problem:
            failed: Future = Future()
            failed.set_exception(problem)
            return failed
