"""Protobuf's wire format, as far as arrays need it: fields by position, floats as numpy views.

protobuf itself builds a Python object per message and copies every array several times, which
for 500 MB of weights takes seconds and gigabytes. Here a file is mapped into memory and only the
few bytes between the arrays are looked at.
"""
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from caffe.core.errors import WeightsError

Extent = tuple[int, int]        # begin and end in the buffer
Parts = list[Any]               # bytes and buffers that follow each other
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FLOAT, _DOUBLE = np.dtype("<f4"), np.dtype("<f8")
# NVIDIA's enum Type: DOUBLE, FLOAT, FLOAT16, INT, UINT
_RAW_TYPES = dict(enumerate(map(np.dtype, ("<f8", "<f4", "<f2", "<i4", "<u4"))))


class LegacyArray(np.ndarray):
    """An array whose file gave num, channels, height, width instead of a shape.

    Its four axes may stand for fewer: (1, 1, 5, 16) fits a blob of shape (5, 16).
    """


class Message:
    """Iterates over the fields of the message in buffer[begin:end].

    Yields (field number, wire type, value): value is an int for VARINT, else the (begin, end) of
    the bytes. `position` is where the next field starts; the caller may move it forward.
    """

    def __init__(self, buffer: Any, begin: int, end: int, origin: str) -> None:
        self.buffer, self.position, self.end, self.origin = buffer, begin, end, origin

    def __iter__(self) -> Iterator[tuple[int, int, Any]]:
        while self.position < self.end:
            tag = self._varint()
            number, kind = tag >> 3, tag & 7
            if number == 0 or number >= 1 << 29:
                raise self.damaged(f"{number} is not a field number")
            if kind == VARINT:
                yield number, kind, self._varint()
                continue
            size = {FIXED32: 4, FIXED64: 8}.get(kind)
            if kind == BYTES:
                size = self._varint()
            elif size is None:
                raise self.damaged(f"{kind} is not a wire type")
            begin, self.position = self.position, self.position + size
            if self.position > self.end:
                raise self.damaged(f"{size} bytes are announced, {self.end - begin} are left; is "
                                   "the file truncated?", begin)
            yield number, kind, (begin, self.position)

    def nested(self, value: Extent) -> "Message":
        """The message in a BYTES field."""
        return Message(self.buffer, *value, self.origin)

    def text(self, value: Extent) -> str:
        """The string in a BYTES field."""
        data = self.buffer[value[0]:value[1]]
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return data.decode("latin-1")

    def number(self, value: Extent) -> float:
        """The float in a FIXED32 field."""
        return float(np.frombuffer(self.buffer, _FLOAT, 1, value[0])[0])

    def packed_varints(self, value: Extent) -> list[int]:
        """The integers of a packed field."""
        inner, integers = self.nested(value), []
        while inner.position < inner.end:
            integers.append(inner._varint())
        return integers

    def values(self, kind: int, value: Extent, dtype: np.dtype) -> np.ndarray:
        """An array from a repeated float or double field that starts here, packed or not.

        The unpacked form has a tag before every number; the whole run is read at once, and
        `position` moves to its end.
        """
        begin, end = value
        if kind == BYTES:
            if (end - begin) % dtype.itemsize:
                raise self.damaged(f"{end - begin} bytes are no whole number of values", begin)
            return np.frombuffer(self.buffer, dtype, (end - begin) // dtype.itemsize, begin)
        record = 1 + dtype.itemsize          # all fields in question have tags of one byte
        count = self._run(begin - 1, record)
        self.position = begin - 1 + count * record
        records = np.frombuffer(self.buffer, np.uint8, count * record, begin - 1)
        return records.reshape(count, record)[:, 1:].copy().view(dtype).reshape(count)

    def damaged(self, what: str, position: int | None = None) -> WeightsError:
        """A WeightsError that says where in the file the damage was noticed."""
        where = self.position if position is None else position
        return WeightsError(f"{self.origin}: damaged, or not a file of this kind: byte {where}: "
                            f"{what}")

    def _run(self, begin: int, record: int) -> int:
        """How many records in a row start with the same byte as the first."""
        count, block = 0, 16
        most = (self.end - begin) // record
        while count < most:
            size = min(block, most - count)
            tags = np.frombuffer(self.buffer, np.uint8, size * record, begin + count * record)
            same = tags[::record] == self.buffer[begin]
            if not same.all():
                return count + int(same.argmin())
            count, block = count + size, 2 * block
        return count

    def _varint(self) -> int:
        result = shift = 0
        while self.position < self.end:
            byte = self.buffer[self.position]
            self.position += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7
            if shift > 63:
                raise self.damaged("an integer has more than ten bytes")
        raise self.damaged("the message ends inside a field; is the file truncated?")


def read_blob(message: Message) -> np.ndarray:
    """A BlobProto as a float32 array: `shape` or legacy dimensions, float, double or raw values.

    NVIDIA's Caffe writes the values as bytes of a type (raw_data, often float16). Raises
    WeightsError when the shape and the number of values disagree.
    """
    dims: list[int] = []
    legacy: dict[int, int] = {}
    values: dict[np.dtype, list[np.ndarray]] = {_FLOAT: [], _DOUBLE: []}
    raw, raw_type = None, 0
    for number, kind, value in message:
        if number == 7 and kind == BYTES:
            dims = _read_dims(message.nested(value))
        elif number == 5 and kind in (BYTES, FIXED32):
            values[_FLOAT].append(message.values(kind, value, _FLOAT))
        elif number == 8 and kind in (BYTES, FIXED64):
            values[_DOUBLE].append(message.values(kind, value, _DOUBLE))
        elif number <= 4 and kind == VARINT:
            legacy[number] = value
        elif number == 10 and kind == VARINT:
            raw_type = value
        elif number == 12 and kind == BYTES:
            raw = value
    parts = values[_DOUBLE] or values[_FLOAT]
    if raw is not None and not parts:
        parts = [_read_raw(message, raw_type, raw)]
    shape = tuple(legacy.get(i, 0) for i in (1, 2, 3, 4)) if legacy else tuple(dims)
    flat = parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.float32), *parts])
    try:
        with np.errstate(over="ignore"):    # doubles beyond float32 become infinite, as in Caffe
            array = flat.astype(np.float32, copy=False).reshape(shape)
    except (ValueError, OverflowError):
        raise message.damaged(f"a blob of shape {shape} has {flat.size} values") from None
    return array.view(LegacyArray) if legacy else array


def _read_raw(message: Message, raw_type: int, extent: Extent) -> np.ndarray:
    """The values of NVIDIA's raw_data."""
    if raw_type not in _RAW_TYPES:
        raise message.damaged(f"raw_data of type {raw_type}, expected 0 to 4 (double, "
                              "float, half, int, uint)", extent[0])
    return message.values(BYTES, extent, _RAW_TYPES[raw_type])


def _read_dims(message: Message) -> list[int]:
    dims: list[int] = []
    for number, kind, value in message:
        if number == 1:
            dims += [value] if kind == VARINT else message.packed_varints(value)
    return dims


def varint(value: int) -> bytes:
    """A non-negative integer in protobuf's variable length form."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def integer(number: int, value: int) -> bytes:
    """An integer field."""
    return varint(number << 3 | VARINT) + varint(value)


def number(field: int, value: float) -> bytes:
    """A float field."""
    return varint(field << 3 | FIXED32) + np.asarray(value, _FLOAT).tobytes()


def sized(number: int, *parts: Any) -> Parts:
    """The parts of a BYTES field: its header, then what `parts` holds (bytes or parts again)."""
    flat = [piece for part in parts for piece in (part if isinstance(part, list) else [part])]
    size = sum(memoryview(piece).nbytes for piece in flat)
    return [varint(number << 3 | BYTES) + varint(size), *flat]


def text(number: int, value: str) -> Parts:
    """The parts of a string field."""
    return sized(number, value.encode("utf-8"))


def blob(number: int, array: ArrayLike, gradient: ArrayLike | None = None) -> Parts:
    """The parts of a BlobProto field: the shape, the values and perhaps their gradient (float32,
    without a copy).
    """
    array = np.asarray(array)
    dims = b"".join(varint(int(dim)) for dim in array.shape)
    diff = [] if gradient is None else _packed(6, gradient)
    return sized(number, _packed(5, array), diff, sized(7, sized(1, dims)))


def legacy_blob(field: int, array: ArrayLike) -> Parts:
    """The parts of a BlobProto field with num, channels, height, width in the place of a shape."""
    array = np.asarray(array)
    dims = (1,) * (4 - array.ndim) + array.shape
    header = b"".join(integer(i, int(dim)) for i, dim in enumerate(dims, 1))
    return sized(field, header, _packed(5, array))


def _packed(number: int, array: ArrayLike) -> Parts:
    """The parts of a packed field of floats; nothing where there are none."""
    values = np.ascontiguousarray(array, dtype=_FLOAT).reshape(-1)
    return sized(number, values.data.cast("B")) if values.size else []
