"""Batches that are made ahead of time, by one thread and therefore in their order."""
import collections
import weakref
from concurrent.futures import ThreadPoolExecutor


class Prefetcher:
    """The items of an iterator, up to `ahead` of them made before they are asked for.

    The thread starts with the first item, knows the iterator only, and ends with the Prefetcher.
    ahead=0: no thread.
    """

    def __init__(self, iterator, ahead):
        self._iterator, self._ahead = iterator, ahead
        self._pending = collections.deque()
        self._failure = None
        self._pool = ThreadPoolExecutor(1, "prefetch") if ahead else None
        if self._pool is not None:
            weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)

    def next(self):
        """The next item; an exception of the iterator comes here, and again in every call after."""
        if self._failure is None:
            try:
                return self._take()
            except Exception as problem:
                self._failure = problem
        raise self._failure

    def _take(self):
        if self._pool is None:
            return next(self._iterator)
        while len(self._pending) <= self._ahead:
            self._pending.append(self._pool.submit(next, self._iterator))
        return self._pending.popleft().result()
