"""Work on the next item while the present one is in use."""
import collections
from concurrent.futures import ThreadPoolExecutor


def read_ahead(function, items, depth=2):
    """Yields function(item) for every item in order, computed in a thread `depth` items ahead.

    An exception of the function surfaces when its item's turn comes.
    """
    with ThreadPoolExecutor(1) as thread:
        pending = collections.deque()
        for item in items:
            pending.append(thread.submit(function, item))
            if len(pending) > depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
