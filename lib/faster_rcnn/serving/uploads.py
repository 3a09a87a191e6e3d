"""A file that a browser sends: received with limits, and recognized by its content alone."""
import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from typing import IO

from caffe.core.errors import UserError
from faster_rcnn.serving.limits import Limits

BLOCK = 1 << 16
# First bytes of the videos that are decoded. Other containers, playlists above all, can name
# further files and addresses, which a decoder would open.
_EBML, _RIFF, _AVI, _FTYP = b"\x1a\x45\xdf\xa3", b"RIFF", b"AVI ", b"ftyp"
_STILL = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")     # pictures in such a container


class UploadError(UserError, ValueError):
    """A file that is refused; `status`: HTTP's."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@contextlib.contextmanager
def received(stream: IO[bytes], length: int | None, limits: Limits) -> Iterator[str]:
    """The path of a private temporary file with what was sent, `length` bytes; removed afterwards.

    Its name is ours: no name that a browser sends is used. Raises UploadError.
    """
    if length is None:
        raise UploadError("the request must say its length (Content-Length)", 411)
    most = max(limits.picture_bytes, limits.video_bytes)
    if length > most:
        raise UploadError(f"the file has {megabytes(length)}; the limit is {megabytes(most)}", 413)
    with tempfile.TemporaryDirectory(prefix="faster-rcnn-") as folder:
        path = os.path.join(folder, "upload")
        with open(path, "wb") as file:
            _copy(stream, file, length, time.monotonic() + limits.upload_seconds)
        yield path


def _copy(stream: IO[bytes], file: IO[bytes], length: int, deadline: float) -> None:
    left = length
    while left:
        try:
            block = stream.read(min(BLOCK, left))
        except OSError:     # the connection was closed, or nothing came for long
            block = b""
        if not block:
            raise UploadError("the file is not whole: the connection ended before it did")
        if time.monotonic() > deadline:
            raise UploadError("sending the file took too long", 408)
        file.write(block)
        left -= len(block)


def is_video(path: str) -> bool:
    """Whether a file begins as an MP4 or QuickTime, WebM or Matroska, or AVI video does."""
    with open(path, "rb") as file:
        head = file.read(12)
    if head[4:8] == _FTYP:
        return head[8:12] not in _STILL
    return head.startswith(_EBML) or head.startswith(_RIFF) and head[8:12] == _AVI


def require_size(path: str, most: int) -> None:
    """UploadError for an empty file, or one of more than `most` bytes."""
    size = os.path.getsize(path)
    if not size:
        raise UploadError("the file is empty")
    if size > most:
        raise UploadError(f"the file has {megabytes(size)}; the limit for it is {megabytes(most)}",
                          413)


def megabytes(count: int) -> str:
    """A number of bytes for people: "32.0 MB"."""
    return f"{count / (1 << 20):.1f} MB"
