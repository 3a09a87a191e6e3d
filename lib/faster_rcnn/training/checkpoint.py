"""Checkpoints: .npz files from which an interrupted training continues as if nothing had happened.

    <path>          the newest
    <path>.older    the one before, read where the newest is damaged
    <path>.before   that of an earlier training in the same place, which was started anew
"""
import contextlib
import glob
import hashlib
import logging
import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from caffe.core.errors import UserError
from faster_rcnn.files.atomic import atomic_open

log = logging.getLogger(__name__)

Sections = dict[str, dict[str, np.ndarray]]
HASH = "hash"       # the entry of the file that holds the hash of all others


class CheckpointError(UserError, ValueError):
    """A checkpoint that cannot be read, or belongs to another training."""


class Checkpoints:
    """The checkpoint files of one training; `path` is that of the newest."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.older, self.before = path + ".older", path + ".before"

    def exist(self) -> bool:
        """Whether there is a checkpoint to continue from."""
        return os.path.exists(self.path) or os.path.exists(self.older)

    def write(self, sections: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Writes {section: {name: array}}; the newest checkpoint becomes the older one."""
        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        write(self.path + ".new", sections)
        if os.path.exists(self.path):
            os.replace(self.path, self.older)
        os.replace(self.path + ".new", self.path)

    def read(self) -> Sections:
        """The newest checkpoint that is whole; CheckpointError when there is none."""
        if not os.path.exists(self.path):       # killed between two renamings
            return read(self.older)
        try:
            return read(self.path)
        except CheckpointError as error:
            if not os.path.exists(self.older):
                raise CheckpointError(f"{error}; remove it to start this training over") from None
            sections = read(self.older)
            log.warning("%s; continuing from the checkpoint before it, %s", error, self.older)
            return sections

    def keep_aside(self) -> None:
        """Before a training starts anew: moves the newest checkpoint to `before`."""
        for path in (self.path, self.older):
            if os.path.exists(path):
                os.replace(path, self.before)
                log.warning("The checkpoint of the training that was interrupted here is kept as "
                            "%s", self.before)
                break
        self.remove()

    def remove(self) -> None:
        """Removes the checkpoints of this training, and what a killed process left of one."""
        for path in (self.path, self.older):
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)
        self.sweep()

    def sweep(self) -> None:
        """Removes what a killed process left of an unfinished checkpoint."""
        folder, name = os.path.split(os.path.abspath(self.path))
        unfinished = glob.glob(os.path.join(glob.escape(folder), f".{glob.escape(name)}.*"))
        for path in (*unfinished, self.path + ".new"):
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)


def write(path: str, sections: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Writes {section: {name: array}} to an .npz file with a hash, whole or not at all.

    Names of sections have no colon.
    """
    arrays: dict[str, Any] = {f"{section}:{name}": np.asarray(value)
                              for section, values in sections.items()
                              for name, value in values.items()}
    with atomic_open(path, "wb") as file:
        arrays[HASH] = np.array(_hash(arrays))
        np.savez(file, **arrays)


def read(path: str) -> Sections:
    """What `write` wrote; CheckpointError when the file is damaged."""
    try:
        _refuse_to_unpack(path)
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, LookupError, TypeError, AttributeError, SyntaxError,
            MemoryError, OverflowError, NotImplementedError, RuntimeError, zipfile.BadZipFile,
            zlib.error) as error:
        raise _damaged(path, str(error)) from None
    if str(arrays.pop(HASH, "")) != _hash(arrays):
        raise _damaged(path, "its content does not match its hash")
    sections: Sections = {}
    for key, array in arrays.items():
        section, _, name = key.partition(":")
        sections.setdefault(section, {})[name] = array
    return sections


def _refuse_to_unpack(path: str) -> None:
    """ValueError where an archive would take more memory than the file is large.

    `write` compresses nothing, so that only a file from elsewhere can do that.
    """
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > os.path.getsize(path):
        raise ValueError(f"its content would take {size} bytes, more than the file")


def _damaged(path: str, reason: str) -> CheckpointError:
    return CheckpointError(f"{path} is not a checkpoint that can be read ({reason})")


def _hash(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names, types, shapes and values."""
    digest = hashlib.sha256()
    for key in sorted(arrays):
        array = np.asarray(arrays[key])
        digest.update(repr((key, array.dtype.str, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data
                      if array.size and array.ndim else array.tobytes())
    return digest.hexdigest()
