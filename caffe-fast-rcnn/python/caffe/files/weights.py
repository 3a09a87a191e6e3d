"""Weights (.caffemodel, .caffemodel.h5), solver states (.solverstate, .h5) and mean files.

Reading maps the file into memory: the arrays are read-only views of it (possibly not aligned) that
take no memory until they are copied into a blob. Writing streams to a temporary file beside the
target, which replaces the target when it is complete.

Of a layer only the name and the blobs are read, whose field numbers are the same in all forks of
Caffe; all other fields, whose numbers differ between forks, are ignored.
"""
import logging
import mmap
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import Message

from caffe.core.errors import WeightsError
from caffe.core.regular_files import open_regular
from caffe.core.types import FilePath
from caffe.files import hdf5, wire
from caffe.files.atomic import replacing
from caffe.files.upgrade import v1_type_number
from caffe.proto import caffe_pb2

log = logging.getLogger("caffe")


class State(NamedTuple):
    """What a .solverstate file holds."""

    iter: int
    learned_net: str
    current_step: int
    history: list
    plateau: tuple | None = None    # (minimum_loss, iter_last_event) of the policy plateau


class _LayerForm(NamedTuple):
    """Field numbers of a layer message: V2 LayerParameter, V1LayerParameter, V0LayerParameter."""

    name: int
    blobs: int
    nested: int | None
    known: frozenset


def _known(message: type[Message]) -> frozenset[int]:
    return frozenset(message.DESCRIPTOR.fields_by_number)


_V2 = _LayerForm(1, 7, None, _known(caffe_pb2.LayerParameter))
_V1 = _LayerForm(4, 6, 1, _known(caffe_pb2.V1LayerParameter))
_V0 = _LayerForm(1, 50, None, _known(caffe_pb2.V0LayerParameter))
_NET_LAYERS = {100: _V2, 2: _V1}


def read_weights(path: FilePath) -> OrderedDict[str, list[np.ndarray | None]]:
    """OrderedDict of layer name -> list of float32 arrays; layers without blobs have empty lists.

    Of several layers of one name the last one that has blobs counts, as in Caffe.

    Binary files of every age (V0, V1, V2) and Caffe's HDF5 files are told apart by content. In an
    HDF5 file a blob that is shared with an earlier layer is missing; None stands in its place.
    Arrays from legacy four-number shapes are `LegacyArray`s, see `fits`. Raises WeightsError.
    """
    layers: OrderedDict[str, list[np.ndarray | None]] = OrderedDict()
    for name, blobs in read_layers(path):
        if blobs or name not in layers:
            layers[name] = blobs
    return layers


def read_layers(path: FilePath) -> list[tuple[str, list[np.ndarray | None]]]:
    """As `read_weights`: all layers in the order of the file, also those of equal names."""
    if _is_hdf5(path):
        return list(hdf5.read_weights(path).items())
    layers: list[tuple[str, list[np.ndarray | None]]] = []
    unknown: set[int] = set()
    net = _mapped(path)
    for number, kind, value in net:
        if number in _NET_LAYERS and kind == wire.BYTES:
            layers.append(_read_layer(net.nested(value), _NET_LAYERS[number], unknown))
    if not layers:
        raise WeightsError(f"{path}: holds no layers; this is not a .caffemodel")
    if unknown:
        log.info("%s: ignoring unknown layer fields (of a fork of Caffe?): %s", path,
                 ", ".join(map(str, sorted(unknown))))
    return layers


def write_weights(path: FilePath, net_name: str, layers: Iterable[tuple[Any, ...]]) -> None:
    """Writes a .caffemodel in the current format; replaces an older file of that name.

    layers: iterable of (name, type, [array]) in net order, or (name, type, [array], [gradient]);
    arrays are stored as float32. It is consumed layer by layer, so that only one layer needs to be
    in main memory at a time.
    """
    with _replacing(path) as partial, open(partial, "wb") as file:
        file.write(b"".join(wire.text(1, net_name)))
        for name, type_name, blobs, *gradients in layers:
            parts = wire.text(1, name) + wire.text(2, type_name)
            for columns in zip(blobs, *gradients):
                parts += wire.blob(7, *columns)
            file.writelines(wire.sized(100, parts))


def write_weights_v1(path: FilePath, net_name: str, layers: Iterable[tuple[Any, ...]]) -> None:
    """Writes a .caffemodel in the format of 2014 (`layers`, types as numbers), for old programs.

    layers: as of write_weights, with the names of bottoms and tops behind: (name, type, [array],
    [bottom], [top]). Shapes have four numbers, as then. WeightsError for a layer with blobs whose
    type did not exist; others of such types are left out.
    """
    with _replacing(path) as partial, open(partial, "wb") as file:
        file.write(b"".join(wire.text(1, net_name)))
        for name, type_name, blobs, bottoms, tops in layers:
            number = v1_type_number(type_name)
            if number is None or any(blob.ndim > 4 for blob in blobs):
                if len(blobs):
                    raise WeightsError(f'{path}: layer "{name}" ({type_name}) has no form of 2014; '
                                       "write the present one")
                continue
            parts = [piece for field, values in ((2, bottoms), (3, tops), (4, [name]))
                     for value in values for piece in wire.text(field, value)]
            parts.append(wire.integer(5, number))
            for blob in blobs:
                parts += wire.legacy_blob(6, blob)
            file.writelines(wire.sized(2, parts))


def write_weights_hdf5(path: FilePath, layers: Iterable[tuple[Any, ...]]) -> None:
    """Writes Caffe's HDF5 layout.

    layers: iterable of (name, [array]), or (name, [array], [gradient]); the array is None for a
    blob that an earlier layer owns.
    """
    with _replacing(path) as partial:
        try:
            hdf5.write_weights(partial, layers)
        except hdf5.DuplicateError as error:
            raise WeightsError(f'{path}: HDF5 cannot hold two layers of the name "{error}"; rename '
                               "one of them, or save a .caffemodel") from None


def fits(array: np.ndarray, shape: Iterable[int]) -> bool:
    """Whether an array from a file can fill a blob of this shape (Caffe: Blob::ShapeEquals)."""
    shape = tuple(shape)
    if isinstance(array, wire.LegacyArray) and len(shape) <= 4:
        shape = (1,) * (4 - len(shape)) + shape
    return array.shape == shape


def read_state(path: FilePath) -> State:
    """The State in a binary or HDF5 solver state file. Raises WeightsError."""
    state = State(*hdf5.read_state(path)) if _is_hdf5(path) else _read_binary_state(path)
    for name, count in (("iter", state.iter), ("current_step", state.current_step)):
        if not 0 <= count < 1 << 31:
            raise WeightsError(f"{path}: {name} {count} is impossible; the file is damaged")
    return state


def _read_binary_state(path: FilePath) -> State:
    message = _mapped(path)
    iteration = step = 0
    learned_net, history, plateau, known = "", [], {}, False
    for number, kind, value in message:
        known = known or (number, kind) in ((1, wire.VARINT), (3, wire.BYTES))
        if number == 1 and kind == wire.VARINT:
            iteration = value
        elif number == 2 and kind == wire.BYTES:
            learned_net = message.text(value)
        elif number == 3 and kind == wire.BYTES:
            history.append(wire.read_blob(message.nested(value)))
        elif number == 4 and kind == wire.VARINT:
            step = value
        elif (number, kind) in ((5, wire.FIXED32), (6, wire.VARINT)):
            plateau[number] = message.number(value) if number == 5 else value
    if not known:
        raise WeightsError(f"{path}: holds neither an iteration nor a history; this is not a "
                           ".solverstate")
    return State(iteration, learned_net, step, history,
                 (plateau[5], plateau[6]) if len(plateau) == 2 else None)


def write_state(path: FilePath, iteration: int, learned_net: str, current_step: int,
                history: Sequence[np.ndarray], plateau: tuple[float, int] | None = None) -> None:
    """Writes a solver state: HDF5 when the name ends in .h5, else binary.

    history: list of arrays, in the order of the net's learnable blobs.
    plateau: as in State; files of other policies have no such fields, as Caffe 1.0's.
    """
    with _replacing(path) as partial:
        if str(path).endswith(".h5"):
            hdf5.write_state(partial, iteration, learned_net, current_step, history, plateau)
            return
        with open(partial, "wb") as file:
            file.write(wire.integer(1, iteration))
            file.writelines(wire.text(2, learned_net))
            for array in history:
                file.writelines(wire.blob(3, array))
            file.write(wire.integer(4, current_step))
            if plateau:
                file.write(wire.number(5, plateau[0]) + wire.integer(6, plateau[1]))


def read_binaryproto(path: FilePath) -> np.ndarray:
    """The array in a .binaryproto file (a BlobProto, such as an image mean), float32."""
    message = _mapped(path)
    return np.array(wire.read_blob(message), subok=False)


def write_binaryproto(path: FilePath, array: np.ndarray) -> None:
    """Writes an array as a BlobProto file."""
    header, *parts = wire.blob(1, array)
    with _replacing(path) as partial, open(partial, "wb") as file:
        file.writelines(parts)


def _read_layer(message: wire.Message, form: _LayerForm,
                unknown: set[int]) -> tuple[str, list[np.ndarray | None]]:
    """(name, blobs) of a layer message; a V1 layer may hold a V0 layer that has both.

    Numbers of fields that the schema does not have are added to the set `unknown`.
    """
    name = ""
    blobs: list[np.ndarray | None] = []
    for number, kind, value in message:
        if number not in form.known:
            unknown.add(number)
        if kind != wire.BYTES:
            continue
        if number == form.name:
            name = message.text(value)
        elif number == form.blobs:
            blobs.append(wire.read_blob(message.nested(value)))
        elif number == form.nested:
            return _read_layer(message.nested(value), _V0, unknown)
    return name, blobs


def _is_hdf5(path: FilePath) -> bool:
    try:
        with open_regular(path) as file:
            return file.read(len(hdf5.SIGNATURE)) == hdf5.SIGNATURE
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None


def _mapped(path: FilePath) -> wire.Message:
    """The whole file as one protobuf message, mapped into memory."""
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise WeightsError(f"{path}: the file is empty")
            buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
    start = buffer[:512]
    if all(byte >= 32 or byte in b"\t\n\r\f" for byte in start):
        raise WeightsError(f"{path}: this is a text file (a prototxt, a web page or a pointer to "
                           "a large file?), not weights")
    return wire.Message(buffer, 0, len(buffer), str(path))


@contextmanager
def _replacing(path: FilePath) -> Iterator[str]:
    """As atomic.replacing; a file that cannot be written is a WeightsError."""
    try:
        with replacing(path) as partial:
            yield partial
    except OSError as error:
        raise WeightsError(f"{path}: cannot be written: {error.strerror or error}") from None
