"""Arrays of any length for a net of a fixed batch size (pycaffe: _Net_batch)."""
import numpy as np

from caffe.core.errors import CaffeError


def batches(arrays, size):
    """Yields ({name: array of `size` items}, how many of them count); the last is filled with 0.

    arrays: {name: array}, all with the same number of items.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise CaffeError(f"expected arrays with one number of items, got {shown or 'none'}")
    total = next(iter(lengths.values()))
    for start in range(0, total, size):
        count = min(size, total - start)
        yield {name: _padded(np.asarray(array[start:start + count]), size)
               for name, array in arrays.items()}, count


def _padded(array, size):
    if len(array) == size:
        return array
    return np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]), array.dtype)])


class Collected:
    """Results of batches, by name."""

    def __init__(self):
        self._parts = {}

    def add(self, arrays, count):
        """Keeps copies of the first `count` items of a batch's {name: array}."""
        for name, array in arrays.items():
            self._parts.setdefault(name, []).append(np.array(array[:count]))

    def stacked(self):
        """{name: one array} of all batches."""
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}
