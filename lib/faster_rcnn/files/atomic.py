"""Files that are whole or not there: a result is written beside its place, then moved into it."""
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def atomic_open(path: str | os.PathLike, mode: str = "w") -> Iterator[IO]:
    """Opens a new file that replaces `path` when the block ends without an exception."""
    encoding = None if "b" in mode else "utf-8"
    folder = os.path.dirname(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(dir=folder, prefix="." + os.path.basename(path) + ".")
    try:
        with os.fdopen(handle, mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file atomically (UTF-8)."""
    with atomic_open(path) as file:
        file.write(text)


def write_json(path: str | os.PathLike, value: object) -> None:
    """Writes indented JSON atomically."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def copy_file(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Copies a file's content atomically."""
    with open(source, "rb") as file, atomic_open(target, "wb") as copy:
        for block in iter(lambda: file.read(1 << 22), b""):
            copy.write(block)


def file_hash(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 22), b""):
            digest.update(block)
    return digest.hexdigest()


def json_hash(value: object) -> str:
    """SHA-256 of a value that JSON can hold; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _umask() -> int:
    """The process's file mode mask; mkstemp makes files for their owner only."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
