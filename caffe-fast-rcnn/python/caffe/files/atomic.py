"""Files that are whole or not there: written beside their place, then moved into it.

A reader never sees half a file, and a process that is killed leaves the older file as it was. The
partial file that it leaves, `.NAME.HOST-PROCESS-xxxx.partial`, is removed by the next process on
this machine that writes to the folder.
"""
import contextlib
import json
import os
import re
import shutil
import uuid
import zlib
from collections.abc import Iterator
from typing import IO, Any

from caffe.core.types import FilePath

_BLOCK = 1 << 22    # bytes
_PARTIAL = re.compile(r"\..*\.([0-9a-f]{8})-([0-9]+)-[0-9a-f]{4}\.partial")
_swept: set[str] = set()        # folders


@contextlib.contextmanager
def replacing(path: FilePath) -> Iterator[str]:
    """Yields a temporary path beside `path` to write to; in the end it replaces `path`.

    It replaces it when the block ends without an exception, after an fsync; else the temporary file
    is removed. OSErrors of this function, and of the block's writing, name `path`.
    """
    folder, name = os.path.split(os.path.abspath(path))
    if folder not in _swept:
        _swept.add(folder)
        sweep(folder)
    partial = os.path.join(folder, partial_name(name))
    try:
        with _naming(path, partial):
            open(partial, "xb").close()
            yield partial
            with open(partial, "rb") as written:
                os.fsync(written.fileno())
            os.replace(partial, path)
    finally:
        _remove(partial)


def check_writable(path: FilePath) -> None:
    """Raises an OSError that names `path` unless a file can be written there."""
    folder, name = os.path.split(os.path.abspath(path))
    partial = os.path.join(folder, partial_name(name))
    try:
        with _naming(path, partial), open(partial, "xb") as file:
            file.write(b"\0")
    finally:
        _remove(partial)


def partial_name(name: str) -> str:
    """A new hidden name for the partial file of `name`, which says what process writes it."""
    return f".{name}.{_host()}-{os.getpid()}-{uuid.uuid4().hex[:4]}.partial"


def sweep(folder: FilePath) -> None:
    """Removes partial files (and databases) of processes of this machine that have died."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            match = _PARTIAL.fullmatch(name)
            if match and match[1] == _host() and not _is_alive(int(match[2])):
                _remove(os.path.join(folder, name))


def _remove(partial: str) -> None:
    """Removes a file, or the folder of a database."""
    if os.path.isdir(partial) and not os.path.islink(partial):
        shutil.rmtree(partial, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        os.remove(partial)


def _host() -> str:
    node = os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
    return f"{zlib.crc32(node.encode()):08x}"


def _is_alive(process: int) -> bool:
    if os.name != "posix":
        return True             # a signal would end it there
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:             # another user's
        return True
    return True


@contextlib.contextmanager
def _naming(path: FilePath, partial: str) -> Iterator[None]:
    """OSErrors about the file that the user knows, not the one beside it."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, partial):
            raise
        # h5py's own sentence has several lines and names the partial file
        sentence = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
        raise OSError(error.errno, sentence, os.fspath(path)) from None


@contextlib.contextmanager
def atomic_open(path: FilePath, mode: str = "w") -> Iterator[IO[Any]]:
    """Opens a new file, mode "w" (UTF-8) or "wb", that replaces `path` in the end; see `replacing`.
    """
    with replacing(path) as partial:
        try:
            with open(partial, mode, encoding=None if "b" in mode else "utf-8") as file:
                yield file
        except OSError as error:        # of a full disk or a limit: without a file name
            if error.errno is None:
                raise
            name = path if error.filename in (None, partial) else error.filename
            raise OSError(error.errno, error.strerror, os.fspath(name)) from None


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
