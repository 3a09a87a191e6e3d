"""The arguments of caffe.Net and its methods: files and phases, arrays of any length."""
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from caffe.core.errors import CaffeError
from caffe.core.types import FilePath
from caffe.files import prototxt
from caffe.files.upgrade import upgrade_net
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import NetParameter


def net_arguments(args: tuple[Any, ...], phase: int | None, level: int,
                  stages: Sequence[str] | None, weights: FilePath | None
                  ) -> tuple[int, int, Sequence[str] | None, FilePath | None]:
    """(phase, level, stages, weights) from the arguments after the file, in either order."""
    if args and isinstance(args[0], (str, os.PathLike)):
        weights, args = args[0], args[1:]
        if args:
            phase, args = args[0], args[1:]
    elif args:
        phase, args = args[0], args[1:]
        given: tuple[Any, ...] = (level, stages, weights)
        level, stages, weights = (*args, *given[len(args):])
        args = ()
    if args or phase is None:
        raise TypeError("expected Net(file, phase, level=0, stages=None, weights=None) or "
                        "Net(file, weights, phase)")
    return phase, level, stages, weights


def read_network(network_file: FilePath | NetParameter) -> NetParameter:
    """The NetParameter in a file, or a copy of one that is given; in the current form."""
    if isinstance(network_file, caffe_pb2.NetParameter):
        message = caffe_pb2.NetParameter()
        message.CopyFrom(network_file)
        return upgrade_net(message)
    return prototxt.read_net(os.fspath(network_file))


def folder_of(network_file: FilePath | NetParameter) -> str | None:
    """The folder of a prototxt, None for a message."""
    if isinstance(network_file, caffe_pb2.NetParameter):
        return None
    return os.path.dirname(os.path.abspath(os.fspath(network_file)))


def batches(arrays: Mapping[str, Any], size: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Yields ({name: array of `size` items}, how many of them count) (pycaffe: _Net_batch).

    The last batch is filled up with 0. arrays: {name: array}, all with the same number of items.
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


def _padded(array: np.ndarray, size: int) -> np.ndarray:
    if len(array) == size:
        return array
    return np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]), array.dtype)])


class Collected:
    """Results of batches, by name."""

    def __init__(self) -> None:
        self._parts: dict[str, list[np.ndarray]] = {}

    def add(self, arrays: Mapping[str, np.ndarray], count: int) -> None:
        """Keeps copies of the first `count` items of a batch's {name: array}."""
        for name, array in arrays.items():
            self._parts.setdefault(name, []).append(np.array(array[:count]))

    def stacked(self) -> dict[str, np.ndarray]:
        """{name: one array} of all batches."""
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}
