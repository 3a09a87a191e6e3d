"""Work on the next items while the present one is in use."""
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from caffe.core.prefetch import Prefetcher


def read_ahead(function: Callable[[Any], Any], items: Iterable[Any],
               depth: int = 2) -> Iterator[Any]:
    """Yields function(item) for every item in order, computed in a thread `depth` items ahead."""
    return iter(Prefetcher(items, depth, function))
