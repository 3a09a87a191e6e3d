"""Opening files that users name: anything but a regular file is refused before it is opened.

A FIFO would block until somebody writes to it; a folder or a dangling link gives errors that do
not say what is wrong.
"""
import errno
import os
import stat
from typing import IO, Any

from caffe.core.types import FilePath

_KINDS = ((stat.S_ISDIR, "it is a folder"), (stat.S_ISFIFO, "it is a FIFO (named pipe)"),
          (stat.S_ISSOCK, "it is a socket"), (stat.S_ISCHR, "it is a device"),
          (stat.S_ISBLK, "it is a device"))


def check_regular(path: FilePath) -> None:
    """Raises an OSError, whose strerror says what the path is, unless it is a regular file."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        if os.path.islink(path):
            raise _refused(path, f"it is a link to {os.readlink(path)}, which does not exist"
                           ) from None
        raise
    except ValueError as error:         # a zero byte in the name
        raise _refused(path, str(error)) from None
    for is_kind, sentence in _KINDS:
        if is_kind(mode):
            raise _refused(path, f"{sentence}, expected a file")


def open_regular(path: FilePath, mode: str = "rb", **options: Any) -> IO[Any]:
    """As `open` for reading; see `check_regular`."""
    check_regular(path)
    return open(path, mode, **options)


def _refused(path: FilePath, sentence: str) -> OSError:
    return OSError(errno.EINVAL, sentence, os.fspath(path))
