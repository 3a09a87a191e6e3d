"""Files that are whole or not there: written beside their place, then moved into it.

A reader never sees half a file, and a process that is killed leaves the older file as it was.
"""
import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from typing import IO, Any

from caffe.core.types import FilePath

_BLOCK = 1 << 22    # bytes


@contextlib.contextmanager
def replacing(path: FilePath) -> Iterator[str]:
    """Yields a temporary path beside `path` to write to; in the end it replaces `path`.

    It replaces it when the block ends without an exception, after an fsync; else the temporary file
    is removed. OSErrors of this function name `path`.
    """
    folder, name = os.path.split(os.path.abspath(path))
    partial = os.path.join(folder, f".{name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with _naming(path), open(partial, "xb"):
            pass
        yield partial
        with _naming(path):
            with open(partial, "rb") as written:
                os.fsync(written.fileno())
            os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            os.remove(partial)


@contextlib.contextmanager
def _naming(path: FilePath) -> Iterator[None]:
    """OSErrors about the file that the user knows, not the one beside it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


@contextlib.contextmanager
def atomic_open(path: FilePath, mode: str = "w") -> Iterator[IO[Any]]:
    """Opens a new file, mode "w" (UTF-8) or "wb", that replaces `path` in the end; see `replacing`.
    """
    with replacing(path) as partial:
        with open(partial, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file


def write_bytes(path: FilePath, data: bytes) -> None:
    """Writes a file of any kind atomically."""
    with atomic_open(path, "wb") as file:
        file.write(data)


def write_text(path: FilePath, text: str) -> None:
    """Writes a text file atomically (UTF-8)."""
    with atomic_open(path) as file:
        file.write(text)


def write_json(path: FilePath, value: Any) -> None:
    """Writes indented JSON atomically."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def copy_file(source: FilePath, target: FilePath) -> None:
    """Copies a file's content atomically."""
    with open(source, "rb") as file, atomic_open(target, "wb") as copy:
        for block in iter(lambda: file.read(_BLOCK), b""):
            copy.write(block)
