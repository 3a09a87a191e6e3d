"""Pickles of plain data: arrays, lists, dictionaries, texts, numbers. Reading one cannot run code.

py-faster-rcnn's result files (detections.pkl, *_proposals.pkl) are pickles, so ours are; files
written by Python 2 are read too. The reader is Python's own in Python: the one in C reserves memory
for any number that a file names, and ends the process for deeply nested keys.
"""
import io
import math
import os
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from caffe.core.errors import UserError
from faster_rcnn.files.atomic import atomic_open
from faster_rcnn.files.reading import FileError, read_bytes

PROTOCOL = 2        # py-faster-rcnn's: readable by Python 2
MAX_BYTES = 4 << 30
_KEYS = (str, bytes, int, float, type(None), np.generic)
_LATIN_1 = ("latin1", "latin-1", "iso8859-1")


class UnsafePickleError(UserError, ValueError):
    """A pickle that holds more than plain data, or a file that is no pickle."""


# ------------------------------------------------------- what a pickle of plain data may call


def _no_bytes() -> bytes:
    return b""


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    """How protocols before 3 write bytes."""
    if encoding not in _LATIN_1:
        raise UnsafePickleError(f"holds text in {encoding!r}, which is not plain data")
    return text.encode("latin1")


def _dtype(name: str, *flags: object) -> np.dtype:
    if not isinstance(name, (str, bytes)):
        raise UnsafePickleError("holds a dtype without a name, which is not plain data")
    return np.dtype(name)


def _empty_array(*_arguments: object) -> np.ndarray:
    """The array that `__setstate__` fills; the arguments are the same for every array."""
    return np.empty(0, np.int8)


def _array_from_buffer(buffer: bytes, dtype: np.dtype, shape: tuple, order: Any) -> np.ndarray:
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


def _array_type() -> None:
    """Stands for the type of arrays, which only is an argument."""
    raise UnsafePickleError("calls the type of arrays, which is not plain data")


def _allowed() -> dict[tuple[str, str], Callable]:
    """What plain data need: the parts of numpy arrays and scalars, by module and name."""
    names: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): _array_type, ("numpy", "dtype"): _dtype,
        ("_codecs", "encode"): _encoded, ("__builtin__", "bytes"): _no_bytes}
    scalar = np.float64(0).__reduce__()[0]
    for package in ("numpy.core", "numpy._core"):
        names[package + ".multiarray", "_reconstruct"] = _empty_array
        names[package + ".multiarray", "scalar"] = scalar
        names[package + ".numeric", "_frombuffer"] = _array_from_buffer
    return names


# --------------------------------------------------------------------------------------- reading


_Unpickler: Any = pickle._Unpickler


class _PlainUnpickler(_Unpickler):
    """Python's unpickler, for plain data; keys are simple and arrays as large as their bytes."""

    allowed = _allowed()
    dispatch = dict(_Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Callable:
        try:
            return self.allowed[module, name]
        except KeyError:
            raise UnsafePickleError(f"holds {module}.{name}, which is not plain data") from None

    def load_build(self) -> None:
        state, value = self.stack[-1], self.stack[-2]
        if isinstance(value, np.ndarray):
            _check_array_state(state)
        elif not isinstance(value, np.dtype):
            raise UnsafePickleError(f"gives a {type(value).__name__} a state, which is not plain "
                                    "data")
        super().load_build()

    def load_setitem(self) -> None:
        _check_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        _check_keys(self.stack[::2])        # since the last mark
        super().load_setitems()

    def load_dict(self) -> None:
        _check_keys(self.stack[::2])
        super().load_dict()

    def load_no_set(self) -> None:
        raise UnsafePickleError("holds a set, which is not plain data")


_PlainUnpickler.dispatch.update({
    pickle.BUILD[0]: _PlainUnpickler.load_build, pickle.SETITEM[0]: _PlainUnpickler.load_setitem,
    pickle.SETITEMS[0]: _PlainUnpickler.load_setitems, pickle.DICT[0]: _PlainUnpickler.load_dict,
    pickle.ADDITEMS[0]: _PlainUnpickler.load_no_set,
    pickle.FROZENSET[0]: _PlainUnpickler.load_no_set})


def _check_keys(keys: list) -> None:
    for key in keys:
        if not isinstance(key, _KEYS):
            raise UnsafePickleError(f"holds a key of type {type(key).__name__}, which is not plain "
                                    "data")


def _check_array_state(state: tuple) -> None:
    """UnsafePickleError unless an array's bytes are as many as its shape and dtype say.

    state: (version, shape, dtype, whether columns come first, data).
    """
    *_, shape, dtype, _, data = state
    count = math.prod(shape)
    expected = count if dtype.hasobject else count * dtype.itemsize
    if min(shape, default=0) < 0 or len(data) != expected:
        raise UnsafePickleError(f"holds an array of shape {shape} with {len(data)} bytes")


def load(path: str | os.PathLike) -> object:
    """The object in a pickle file; UnsafePickleError names a file that is not a plain pickle."""
    try:
        return loads(read_bytes(path, MAX_BYTES))
    except (UnsafePickleError, FileError) as error:
        raise UnsafePickleError(str(error) if isinstance(error, FileError)
                                else f"{path} {error}") from None


def loads(content: bytes) -> object:
    """The object in a pickle's bytes."""
    try:
        return _PlainUnpickler(io.BytesIO(content), encoding="latin1").load()
    except UnsafePickleError:
        raise
    except Exception as error:      # damaged bytes make the unpickler raise almost anything
        words = " ".join(str(error).split())[:200]
        raise UnsafePickleError(f"is not a pickle that can be read ({words})") from None


def dump(value: object, path: str | os.PathLike) -> None:
    """Writes plain data to a pickle file, whole or not at all."""
    with atomic_open(path, "wb") as file:
        pickle.dump(value, file, PROTOCOL)
