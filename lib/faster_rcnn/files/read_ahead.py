"""Work on the next items while the present one is in use."""
import collections
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class ReadAhead(Iterator[tuple[Any, Any]]):
    """Iterates over (item, function(item)) in the order of the items, computed by threads.

    ahead: the number of results that are computed before they are asked for. With threads=0 each
    is computed when it is asked for. An exception of the function is raised in its item's turn;
    the results behind it can still be had.
    OpenCV, torch and files release the interpreter's lock while they work, so threads are enough.
    """

    def __init__(self, function: Callable[[Any], Any], items: Iterable[Any], threads: int = 1,
                 ahead: int = 2) -> None:
        self._function, self._items = function, iter(items)
        self._pool = ThreadPoolExecutor(threads, "read-ahead") if threads > 0 else None
        if self._pool is not None:
            weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        self._ahead = ahead if threads > 0 else 0
        self._pending: collections.deque[tuple[Any, Future]] = collections.deque()

    def __next__(self) -> tuple[Any, Any]:
        for item in self._items:
            self._pending.append((item, self._submit(item)))
            if len(self._pending) > self._ahead:
                break
        if not self._pending:
            raise StopIteration
        item, future = self._pending.popleft()
        return item, future.result()

    def _submit(self, item: Any) -> Future:
        if self._pool is not None:
            return self._pool.submit(self._function, item)
        done: Future = Future()
        try:
            done.set_result(self._function(item))
        except Exception as error:
            done.set_exception(error)
        return done

    def close(self) -> None:
        """Drops what is pending; a result that a thread is computing is not waited for."""
        self._items = iter(())
        self._pending.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def read_ahead(function: Callable[[Any], Any], items: Iterable[Any],
               depth: int = 2) -> Iterator[Any]:
    """Yields function(item) for every item in order, computed in a thread `depth` items ahead."""
    results = ReadAhead(function, items, ahead=depth)
    try:
        for _, result in results:
            yield result
    finally:
        results.close()
