"""MATLAB files (version 4 to 7): one variable, a matrix of numbers or a cell array of such.

Version 5 and later are read here: scipy's reader in C ends the process for damaged files. Their
form is that of MathWorks' "MAT-File Format": elements with a tag (type, bytes), padded to 8 bytes;
a matrix is an element of elements (flags, dimensions, name, numbers or cells).
"""
import io
import math
import os
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.io

from caffe.core.errors import UserError
from faster_rcnn.files.reading import FileError, read_bytes

MAX_BYTES = 2 << 30     # of a file, and of what its variables unpack to
MAX_DEPTH = 8           # of cells in cells
_HEADER_BYTES, _MATRIX, _COMPRESSED, _CELL, _COMPLEX = 128, 14, 15, 1, 0x0800
# numpy's names of the types of elements, and of the classes of matrices
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8",
          13: "u8"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8",
            15: "u8"}


class MatlabError(UserError, ValueError):
    """A MATLAB file that cannot be read; the message names it."""


class _Damaged(Exception):
    """What is wrong with a file's content."""


class _Element(NamedTuple):
    kind: int
    data: memoryview


def read_variable(path: str | os.PathLike, name: str) -> np.ndarray:
    """The variable of a name in a MATLAB file: numbers, or an object array of matrices for cells.

    Raises MatlabError when there is none, or when it is neither.
    """
    try:
        content = read_bytes(path, MAX_BYTES)
    except FileError as error:
        raise MatlabError(str(error)) from None
    try:
        if content[:4] == b"\x89HDF" or b"MATLAB 7.3" in content[:20]:
            raise MatlabError(f"{path} is of MATLAB 7.3; save it with -v7")
        order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
        found = _version_4(content, name) if order is None else _Reader(content, order).find(name)
    except MatlabError:
        raise
    except _Damaged as error:
        raise MatlabError(f"{path} is not a MATLAB file that can be read ({error})") from None
    if found is None:
        raise MatlabError(f"{path} has no variable {name}")
    return found


def _version_4(content: bytes, name: str) -> np.ndarray | None:
    """The variable in a file of version 4, which is not compressed; scipy reads it in Python."""
    try:
        return scipy.io.loadmat(io.BytesIO(content), variable_names=[name]).get(name)
    except Exception as error:      # damaged bytes make the reader raise almost anything
        raise _Damaged(" ".join(str(error).split())[:200]) from None


class _Reader:
    """A file of version 5 to 7; order: "<" or ">", how its numbers are stored."""

    def __init__(self, content: bytes, order: str) -> None:
        self.content, self.order, self.unpacked = memoryview(content), order, 0

    def find(self, name: str) -> np.ndarray | None:
        """The variable of a name; None when there is none."""
        for element in self._elements(self.content[_HEADER_BYTES:]):
            if element.kind == _COMPRESSED:
                element = next(self._elements(self._unpacked(element.data)), element)
            if element.kind == _MATRIX:
                parts = self._elements(element.data)
                head = [next(parts, _Element(0, memoryview(b""))) for _ in range(3)]
                if bytes(head[2].data) == name.encode():
                    return self._matrix(element.data, 0)
        return None

    def _elements(self, data: memoryview) -> Iterator[_Element]:
        place = 0
        while place + 8 <= len(data):
            kind, size = np.frombuffer(data[place:place + 8], self.order + "u4").tolist()
            begin, step = place + 8, 8 + size + (0 if kind == _COMPRESSED else -size % 8)
            if kind >> 16:          # a small element: its data are in the tag
                kind, size, begin, step = kind & 0xffff, kind >> 16, place + 4, 8
            if begin + size > len(data) or (step == 8 and size > 4 and begin == place + 4):
                raise _Damaged(f"an element of {size} bytes is cut off")
            yield _Element(kind, data[begin:begin + size])
            place += step

    def _unpacked(self, data: memoryview) -> memoryview:
        room = MAX_BYTES - self.unpacked
        unpacker = zlib.decompressobj()
        try:
            unpacked = unpacker.decompress(data, room)
        except zlib.error as error:
            raise _Damaged(str(error)) from None
        self.unpacked += len(unpacked)
        if unpacker.unconsumed_tail:
            raise _Damaged(f"it unpacks to more than {MAX_BYTES} bytes, which is the limit")
        return memoryview(unpacked)

    def _matrix(self, data: memoryview, depth: int) -> np.ndarray:
        if not len(data):
            return np.zeros((0, 0))
        flags, sizes, _, *parts = self._parts(data)
        number = self._numbers(flags, 2)[0]
        shape = tuple(self._numbers(sizes, 0).tolist())
        if not 2 <= len(shape) <= 8 or min(shape) < 0:
            raise _Damaged(f"a matrix of shape {shape}")
        if number & 0xff == _CELL:
            return self._cells(parts, shape, depth)
        kind = _CLASSES.get(int(number & 0xff))
        if kind is None or number & _COMPLEX or not parts:
            if depth:       # whoever wants the cell says which one it is
                return np.array(None, object)
            raise _Damaged("it holds something else than real numbers and cells of them")
        values = self._numbers(parts[0], 0)
        if len(values) != math.prod(shape):
            raise _Damaged(f"a matrix of shape {shape} with {len(values)} numbers")
        return values.astype(kind).reshape(shape, order="F")

    def _parts(self, data: memoryview) -> list[_Element]:
        parts = list(self._elements(data))
        if len(parts) < 3:
            raise _Damaged("a matrix without flags, dimensions or a name")
        return parts

    def _cells(self, parts: list[_Element], shape: tuple[int, ...], depth: int) -> np.ndarray:
        if len(parts) != math.prod(shape) or any(part.kind != _MATRIX for part in parts):
            raise _Damaged(f"a cell array of shape {shape} with {len(parts)} cells")
        if depth == MAX_DEPTH:
            raise _Damaged(f"cells are nested more than {MAX_DEPTH} deep")
        cells = np.empty(len(parts), object)
        for i, part in enumerate(parts):
            cells[i] = self._matrix(part.data, depth + 1)
        return cells.reshape(shape, order="F")

    def _numbers(self, element: _Element, at_least: int) -> np.ndarray:
        """The numbers of an element, as they are stored."""
        kind = _TYPES.get(element.kind)
        if kind is None or len(element.data) % int(kind[1]):
            raise _Damaged(f"an element of type {element.kind} with {len(element.data)} bytes "
                           "where numbers were expected")
        values = np.frombuffer(element.data, self.order + kind)
        if len(values) < at_least:
            raise _Damaged("a matrix without flags")
        return values
