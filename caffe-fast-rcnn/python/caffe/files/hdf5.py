"""Weights and solver states in Caffe's HDF5 layout (Caffe: Net::ToHDF5, SnapshotSolverStateToHDF5).

    weights   /data/<layer>/<index>            one float dataset per blob
    state     /iter /current_step /learned_net /history/<index>
              /minimum_loss /iter_last_event, where the learning rate follows plateaus

A blob that a layer shares with an earlier one is stored with its owner only.
"""
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np

from caffe.core.errors import WeightsError
from caffe.core.regular_files import check_regular
from caffe.core.types import FilePath

SIGNATURE = b"\x89HDF\r\n\x1a\n"
Blobs = list[np.ndarray | None]
_SMALL, _BEST_COMPRESSION = 1 << 26, 1100   # bytes that are always read; deflate's limit


class DuplicateError(Exception):
    """Two layers with learnable blobs have the name that this holds."""


def read_weights(path: FilePath) -> OrderedDict[str, Blobs]:
    """OrderedDict: layer name -> list of float32 arrays, None for a blob that is shared."""
    with _opened(path) as file:
        if not isinstance(file.get("data"), h5py.Group):
            raise WeightsError(f'{path}: this HDF5 file has no group "data"; it holds no weights')
        layers: OrderedDict[str, Blobs] = OrderedDict()
        _collect(file["data"], "", layers, path)
        return layers


def write_weights(path: FilePath, layers: Iterable[tuple[Any, ...]]) -> None:
    """Writes an iterable of (layer name, list of arrays or None) to a new file.

    A third item, the list of gradients, goes to the group "diff" beside "data".
    """
    with h5py.File(path, "w") as file:
        file.create_group("data")
        names: set[str] = set()
        for name, *lists in layers:
            if name in names and lists[0]:
                raise DuplicateError(name)
            names.update([name] if lists[0] else [])
            for kind, arrays in zip(("data", "diff"), lists):
                group = file.require_group(kind).require_group(name)
                for index, array in enumerate(arrays):
                    if array is not None:
                        group[str(index)] = np.asarray(array, dtype=np.float32)


def read_state(path: FilePath) -> tuple[Any, ...]:
    """(iter, learned_net, current_step, history, plateau) of a .solverstate.h5 file; see State."""
    with _opened(path) as file:
        blobs: OrderedDict[str, Blobs] = OrderedDict()
        _collect(file, "", blobs, path, only="history")
        learned_net = _dataset(file, "learned_net", path)[()] if "learned_net" in file else b""
        if isinstance(learned_net, bytes):
            learned_net = learned_net.decode("utf-8", "replace")
        history = blobs.get("history", [])
        if any(array is None for array in history):
            raise WeightsError(f"{path}: a dataset between /history/0 and /history/"
                               f"{len(history) - 1} is missing")
        return (_integer(file, "iter", path), str(learned_net).rstrip("\0"),
                _integer(file, "current_step", path), history,
                _plateau(file, path) if "minimum_loss" in file else None)


def write_state(path: FilePath, iteration: int, learned_net: str, current_step: int,
                history: Sequence[np.ndarray], plateau: tuple[float, int] | None = None) -> None:
    """Writes a solver state to a new file; plateau as in State."""
    name = learned_net.encode("utf-8")
    with h5py.File(path, "w") as file:
        file["iter"] = np.array([iteration], dtype=np.int32)
        file["current_step"] = np.array([current_step], dtype=np.int32)
        # One byte more than the name: Caffe reads up to a zero byte.
        file.create_dataset("learned_net", data=name, dtype=h5py.string_dtype(length=len(name) + 1))
        group = file.create_group("history")
        for index, array in enumerate(history):
            group[str(index)] = np.asarray(array, dtype=np.float32)
        if plateau:
            file["minimum_loss"] = np.array([plateau[0]], dtype=np.float32)
            file["iter_last_event"] = np.array([plateau[1]], dtype=np.int32)


def _plateau(file: h5py.File, path: FilePath) -> tuple[float, int]:
    loss = _floats(file, "minimum_loss", path).reshape(-1)
    if loss.size != 1:
        raise WeightsError(f"{path}: minimum_loss is not one number")
    return float(loss[0]), _integer(file, "iter_last_event", path)


def read_datasets(path: FilePath, names: Iterable[str]) -> list[np.ndarray]:
    """The datasets of these names, float32 arrays of any shape, from the top of a file."""
    with _opened(path) as file:
        return [_floats(file, name, path) for name in names]


def append_rows(path: FilePath, datasets: Mapping[str, np.ndarray], new: bool = False) -> None:
    """Adds rows to the datasets {name: float32 array} of a file, which are created where missing.

    new: an older file is replaced.
    """
    with h5py.File(path, "w" if new else "a") as file:
        for name, rows in datasets.items():
            if name not in file:
                file.create_dataset(name, data=rows, maxshape=(None, *rows.shape[1:]))
                continue
            dataset = file[name]
            if dataset.shape[1:] != rows.shape[1:]:
                raise WeightsError(f'{path}: the rows of "{name}" have shape {dataset.shape[1:]}, '
                                   f"the new ones {rows.shape[1:]}")
            count = len(dataset)
            dataset.resize(count + len(rows), axis=0)
            dataset[count:] = rows


@contextmanager
def _opened(path: FilePath) -> Iterator[h5py.File]:
    """The open file; whatever h5py says about damage becomes a WeightsError."""
    try:
        check_regular(path)
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        sentence = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise WeightsError(f"{path}: not readable as HDF5: {sentence}") from None


def _collect(group: h5py.Group, prefix: str, layers: dict[str, Blobs],
             path: FilePath, only: str | None = None) -> None:
    """Layers below a group; a layer's name may contain slashes, then its groups are nested."""
    for key in _names(group, path):
        if only is not None and key != only:
            continue
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise WeightsError(f"{path}: {group.name}/{key} is a link to another place")
        child = group[key]
        if isinstance(child, h5py.Group):
            blobs = _blobs(child, path)
            inner: OrderedDict[str, Blobs] = OrderedDict()
            _collect(child, f"{prefix}{key}/", inner, path)
            if blobs or not inner:
                layers[f"{prefix}{key}"] = blobs
            layers.update(inner)


def _names(group: h5py.Group, path: FilePath) -> list[str]:
    """Names in a group; h5py gives bytes for one that is not UTF-8."""
    names = list(group)
    if not all(isinstance(name, str) for name in names):
        raise WeightsError(f"{path}: {group.name} holds something whose name is not UTF-8")
    return names


def _blobs(group: h5py.Group, path: FilePath) -> Blobs:
    """The datasets "0", "1", ... of a group; None where one in between is missing."""
    indices = {int(key) for key in _names(group, path)
               if key.isdecimal() and group.get(key, getclass=True) is h5py.Dataset}
    count = max(indices, default=-1) + 1
    if count > 2 * len(indices) + 64:
        raise WeightsError(f"{path}: {group.name} has a blob number {count - 1}, but holds "
                           f"{len(indices)}")
    return [_floats(group, str(i), path) if i in indices else None for i in range(count)]


def _floats(group: h5py.Group, key: str, path: FilePath) -> np.ndarray:
    dataset = _dataset(group, key, path)
    if dataset.dtype.kind not in "fiu":
        raise WeightsError(f"{path}: {dataset.name} does not hold numbers")
    return np.asarray(dataset[()], dtype=np.float32)


def _integer(group: h5py.Group, key: str, path: FilePath) -> int:
    value = np.asarray(_dataset(group, key, path)[()]).reshape(-1)
    if value.size != 1 or value.dtype.kind not in "iu":
        raise WeightsError(f"{path}: {key} is not one integer")
    return int(value[0])


def _dataset(group: h5py.Group, key: str, path: FilePath) -> h5py.Dataset:
    """A dataset that keeps its values in this very file, and not more than fit into it."""
    dataset = group.get(key)
    if not isinstance(dataset, h5py.Dataset):
        raise WeightsError(f"{path}: {group.name.rstrip('/')}/{key} is missing")
    if dataset.external or dataset.is_virtual \
            or not isinstance(group.get(key, getlink=True), h5py.HardLink):
        raise WeightsError(f"{path}: {dataset.name} keeps its values in another file")
    stored = min(dataset.id.get_storage_size(), os.path.getsize(path))
    if dataset.nbytes > max(_SMALL, stored * _BEST_COMPRESSION):
        raise WeightsError(f"{path}: {dataset.name} announces {dataset.nbytes} bytes, but holds "
                           f"only {stored}")
    return dataset
