"""Work on the next items while the present one is in use."""
import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item, Result = TypeVar("Item"), TypeVar("Result")


def read_ahead(function: Callable[[Item], Result], items: Iterable[Item],
               depth: int = 2) -> Iterator[Result]:
    """Yields function(item) for every item in order, computed in a thread `depth` items ahead.

    An exception of the function is raised when its item is due.
    """
    with ThreadPoolExecutor(1) as thread:
        pending: collections.deque = collections.deque()
        for item in items:
            pending.append(thread.submit(function, item))
            if len(pending) > depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
