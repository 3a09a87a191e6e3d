"""MATLAB files (version 4 to 7): one variable, read only after its size is known."""
import io
import os
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import scipy.io

from caffe.core.errors import UserError
from faster_rcnn.files.reading import FileError, read_bytes

MAX_BYTES = 2 << 30     # of a file, and of what it unpacks to
_HEADER_BYTES, _COMPRESSED, _STEP = 128, 15, 1 << 20


class MatlabError(UserError, ValueError):
    """A MATLAB file that cannot be read; the message names it."""


def read_variable(path: str | os.PathLike, name: str) -> np.ndarray:
    """The variable of a name in a MATLAB file, as scipy makes it; MatlabError when there is none.
    """
    try:
        content = read_bytes(path, MAX_BYTES)
    except FileError as error:
        raise MatlabError(str(error)) from None
    try:
        _require_size(path, content)
        found = scipy.io.loadmat(io.BytesIO(content), variable_names=[name])
    except MatlabError:
        raise
    except NotImplementedError:
        raise MatlabError(f"{path} is of MATLAB 7.3; save it with -v7") from None
    except Exception as error:      # damaged bytes make the reader raise almost anything
        words = " ".join(str(error).split())[:200]
        raise MatlabError(f"{path} is not a MATLAB file that can be read ({words})") from None
    if name not in found:
        raise MatlabError(f"{path} has no variable {name}")
    return found[name]


def _require_size(path: str | os.PathLike, content: bytes) -> None:
    total = 0
    for size in _unpacked_bytes(content):
        total += size
        if total > MAX_BYTES:
            raise MatlabError(f"{path} unpacks to more than {MAX_BYTES} bytes, which is the limit")


def _unpacked_bytes(content: bytes) -> Iterator[int]:
    """Sizes of the compressed variables of a file of version 5 to 7, a part at a time."""
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:       # version 4, which knows no compression, or another file
        return
    place = _HEADER_BYTES
    while place + 8 <= len(content):
        kind, size = struct.unpack_from(order + "II", content, place)
        place += 8
        if kind == _COMPRESSED:
            unpacker, rest = zlib.decompressobj(), content[place:place + size]
            while rest and not unpacker.eof:
                part = unpacker.decompress(rest, _STEP)
                rest = unpacker.unconsumed_tail
                yield len(part)
                if not part:
                    break
        place += size
