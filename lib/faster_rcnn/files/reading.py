"""Files that users name: read whole, with a limit, or refused in one line that says why.

A folder, a pipe or a device where a file should be is refused before it is opened: a pipe that
nobody writes to would block for ever.
"""
import codecs
import os
import stat

from caffe.core.errors import UserError

# Unless a caller says otherwise
MAX_BYTES = 1 << 30
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"),
                     (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
                     (codecs.BOM_UTF16_BE, "utf-16"))


class FileError(UserError, OSError):
    """A file that cannot be read; the message names it."""


class MissingFileError(FileError, FileNotFoundError):
    """A file that does not exist."""


class EncodingError(UserError, ValueError):
    """A text whose encoding is not known; the message names file and line."""


def file_fault(path: str | os.PathLike, max_bytes: int = MAX_BYTES) -> str:
    """Why a path cannot be read as a file; empty when it can."""
    try:
        facts = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(path):
            return f"is a link to {os.readlink(os.fspath(path))}, which is not there"
        return "is not there"
    except (OSError, ValueError) as error:
        return f"cannot be read ({getattr(error, 'strerror', None) or error})"
    if stat.S_ISDIR(facts.st_mode):
        return "is a folder, not a file"
    if not stat.S_ISREG(facts.st_mode):
        return "is not a file but a pipe, socket or device"
    if facts.st_size > max_bytes:
        return f"has {facts.st_size} bytes, which is more than the limit of {max_bytes}"
    return "" if os.access(path, os.R_OK) else "cannot be read (permission denied)"


def require_file(path: str | os.PathLike, max_bytes: int = MAX_BYTES) -> None:
    """Raises FileError, or MissingFileError, unless a path can be read as a file."""
    fault = file_fault(path, max_bytes)
    if fault:
        raise (FileError if os.path.exists(path) else MissingFileError)(f"{path} {fault}")


def read_bytes(path: str | os.PathLike, max_bytes: int = MAX_BYTES) -> bytes:
    """The content of a file; FileError when it cannot be read."""
    require_file(path, max_bytes)
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror})") from None


def read_text(path: str | os.PathLike, max_bytes: int = MAX_BYTES) -> str:
    """A text file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark; "\\n" ends its lines.

    Raises FileError, and EncodingError for other encodings.
    """
    return decoded(read_bytes(path, max_bytes), str(path))


def decoded(content: bytes, origin: str) -> str:
    """Bytes as text, see read_text."""
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[:error.start].count(b"\n") + 1
        name = encoding.removesuffix("-sig").upper()
        raise EncodingError(f"{origin}:{line}: not text in {name} (byte 0x"
                            f"{content[error.start]:02x}); save the file as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
