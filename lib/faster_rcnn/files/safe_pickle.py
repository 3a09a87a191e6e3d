"""Pickles of plain data: arrays, lists, dictionaries, texts, numbers. Reading one cannot run code.

py-faster-rcnn's result files (detections.pkl, *_proposals.pkl) are pickles, so ours are; files
written by Python 2 are read too.
"""
import io
import pickle

import numpy as np

from caffe.core.errors import UserError
from faster_rcnn.files.atomic import atomic_open

PROTOCOL = 2        # the original's: readable by Python 2


class UnsafePickleError(UserError, ValueError):
    """A pickle that holds more than plain data, or a file that is no pickle."""


def _no_bytes() -> bytes:
    return b""


def _array_from_buffer(buffer: bytes, dtype: np.dtype, shape: tuple, order: str) -> np.ndarray:
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


def _allowed() -> dict:
    """What plain data need: the parts of numpy arrays and scalars, by module and name."""
    array, scalar = np.array([0]).__reduce__()[0], np.float64(0).__reduce__()[0]
    names = {("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype,
             ("_codecs", "encode"): str.encode, ("__builtin__", "bytes"): _no_bytes}
    for package in ("numpy.core", "numpy._core"):
        names[package + ".multiarray", "_reconstruct"] = array
        names[package + ".multiarray", "scalar"] = scalar
        names[package + ".numeric", "_frombuffer"] = _array_from_buffer
    return names


class _PlainUnpickler(pickle.Unpickler):
    allowed = _allowed()

    def find_class(self, module: str, name: str) -> object:
        try:
            return self.allowed[module, name]
        except KeyError:
            raise UnsafePickleError(f"holds {module}.{name}, which is not plain data") from None


def load(path: str) -> object:
    """The object in a pickle file; UnsafePickleError names a file that is not a plain pickle."""
    with open(path, "rb") as file:
        content = file.read()
    try:
        return loads(content)
    except UnsafePickleError as error:
        raise UnsafePickleError(f"{path} {error}") from None


def loads(content: bytes) -> object:
    """The object in a pickle's bytes."""
    try:
        return _PlainUnpickler(io.BytesIO(content), encoding="latin1").load()
    except UnsafePickleError:
        raise
    except Exception as error:      # damaged bytes make the unpickler raise almost anything
        raise UnsafePickleError(f"is not a pickle that can be read ({error})") from None


def dump(value: object, path: str) -> None:
    """Writes plain data to a pickle file, whole or not at all."""
    with atomic_open(path, "wb") as file:
        pickle.dump(value, file, PROTOCOL)
