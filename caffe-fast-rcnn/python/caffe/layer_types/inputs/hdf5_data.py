"""HDF5Data and HDF5Output: arrays from and to HDF5 files (Caffe: hdf5_data_layer.cpp,
hdf5_output_layer.cpp).
"""
from collections.abc import Iterable, Iterator

import numpy as np
from torch import Tensor

from caffe.core import state
from caffe.core.errors import CaffeError, DataError
from caffe.core.regular_files import open_regular
from caffe.files import hdf5
from caffe.layer_types.common.module import Module, Shape, Shapes
from caffe.layer_types.common.registry import register
from caffe.layer_types.inputs.batch_source import BatchSource, own_share, peeked
from caffe.proto.caffe_pb2 import LayerParameter

_Row = tuple[list[np.ndarray], int]     # arrays of a file, number of a row in them


@register("HDF5Data")
class HDF5Data(BatchSource):
    """Tops: the datasets of their names, row after row through all files of a list, repeatedly;
    with `shuffle` files and rows within a file in a new order every time.

    Integers and doubles become float32. One file at a time is in memory.
    """

    tops = (1, None)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.hdf5_data_param
        if param.HasField("transform_param"):
            raise self.error("does not transform data; expected no transform_param")
        batch_size = self.positive(p.batch_size, "batch_size")
        generator = state.new_generator() if p.shuffle else None
        with self.named():
            paths = _listed_files(p.source)
            rows = own_share(_rows(paths, list(param.top), generator), phase)
            (arrays, _), rows = peeked(rows)
            self.feed(_batches(rows, batch_size),
                      [(batch_size, *array.shape[1:]) for array in arrays])


def _listed_files(source: str) -> list[str]:
    """The words of a list of files."""
    try:
        with open_regular(source, "r", encoding="utf-8", errors="surrogateescape") as file:
            paths = file.read().split()
    except OSError as error:
        raise DataError(f"{source}: the list of HDF5 files cannot be read: "
                        f"{error.strerror}") from None
    if not paths:
        raise DataError(f"{source}: the list of HDF5 files is empty")
    return paths


def _rows(paths: Iterable[str], names: list[str],
          generator: np.random.Generator | None) -> Iterator[_Row]:
    """Endless (arrays of a file, number of a row in them); a generator shuffles."""
    paths = list(paths)
    arrays = None
    while True:
        if generator is not None:
            generator.shuffle(paths)
        for path in paths:
            if arrays is None or len(paths) > 1:    # Caffe: a single file is read once
                arrays = _read(path, names)
            count = len(arrays[0])
            order = range(count) if generator is None else generator.permutation(count)
            for row in order:
                yield arrays, row


def _read(path: str, names: list[str]) -> list[np.ndarray]:
    arrays = hdf5.read_datasets(path, names)
    shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(names, arrays))
    if any(array.ndim == 0 for array in arrays) or len({len(array) for array in arrays}) != 1:
        raise DataError(f"{path}: expected datasets with the same number of rows, got {shapes}")
    if not len(arrays[0]):
        raise DataError(f"{path}: the datasets have no rows")
    return arrays


def _batches(rows: Iterator[_Row], batch_size: int) -> Iterator[list[np.ndarray]]:
    """Endless lists of arrays (batch_size, ...), one per dataset."""
    while True:
        batch: list[np.ndarray] = []
        for i in range(batch_size):
            arrays, row = next(rows)
            if i == 0:
                batch = [np.empty((batch_size, *array.shape[1:]), np.float32) for array in arrays]
            for out, array in zip(batch, arrays):
                if out.shape[1:] != array.shape[1:]:
                    raise DataError("the files of the list do not fit together: rows of shape "
                                    f"{out.shape[1:]} and {array.shape[1:]} in one batch")
                out[i] = array[row]
        yield batch


@register("HDF5Output")
class HDF5Output(Module):
    """Writes its bottoms to a new file as the datasets "data" and "label", both 4-d as in Caffe.

    The file is complete after each pass. Further passes add rows; Caffe stops at the second.
    """

    bottoms = (2, 2)
    tops = (0, 0)
    no_gradient = (0, 1)
    ignores_forbidden_gradient = True

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self._path = param.hdf5_output_param.file_name
        if not self._path:
            raise self.error("expected a file_name, got none")
        self._write({}, new=True)

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        return []

    def forward(self, data: Tensor, label: Tensor) -> tuple[()]:
        if len(data) != len(label):
            raise self.error(f"expected as many labels as data, got {len(label)} and {len(data)}")
        self._write({"data": self._legacy(data), "label": self._legacy(label)})
        return ()

    def _write(self, datasets: dict[str, np.ndarray], new: bool = False) -> None:
        try:
            hdf5.append_rows(self._path, datasets, new)
        except CaffeError as problem:
            raise self.error(str(problem)) from None
        except OSError as problem:
            reason = problem.strerror or " ".join(str(problem).split())
            raise self.error(f"{self._path} cannot be written: {reason}") from None

    def _legacy(self, tensor: Tensor) -> np.ndarray:
        """A tensor's values with the four axes that older blobs had."""
        if tensor.dim() > 4:
            raise self.error(f"expected bottoms with at most 4 axes, got {tuple(tensor.shape)}")
        shape = (*tensor.shape, *[1] * (4 - tensor.dim()))
        return tensor.detach().float().cpu().numpy().reshape(shape)
