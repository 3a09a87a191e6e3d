"""One file that holds a detector, to be sent to a friend: a zip of weights and description.

    detector.frcnn.zip
        description.json        as beside the weights
        NAME.caffemodel         not compressed

Reading takes just these two, to places of our own choice, and no more bytes than described.
"""
import contextlib
import hashlib
import os
import zipfile
from typing import IO

from faster_rcnn.detectors import description_files
from faster_rcnn.detectors.description import Description, DescriptionError
from faster_rcnn.files.atomic import atomic_open
from faster_rcnn.files.reading import require_file

SUFFIX = ".zip"
DESCRIPTION = "description.json"
_BLOCK = 1 << 22
_START = b"PK\x03\x04"


def write_archive(description: Description, weights: str, path: str) -> None:
    """Writes weights (a path) with their description as one file."""
    text = description_files.text_of(description)
    with (atomic_open(path, "wb") as file,
          zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive):
        archive.writestr(DESCRIPTION, text, zipfile.ZIP_DEFLATED)
        archive.write(weights, description.weights.name)


def is_archive(path: str) -> bool:
    """Whether a file is an archive by its name, or begins like one."""
    if path.lower().endswith(SUFFIX):
        return True
    if not os.path.isfile(path):
        return False
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(len(_START)) == _START
    return False


def unpack(path: str, folder: str) -> tuple[str, Description]:
    """Writes the weights of an archive into a folder; returns their path and the description.

    DescriptionError for a file that is not such an archive, or is damaged.
    """
    require_file(path, max_bytes=1 << 40)
    try:
        with zipfile.ZipFile(path) as archive:
            with archive.open(DESCRIPTION) as file:
                text = _limited(file, description_files.MAX_BYTES, f"{path}: {DESCRIPTION}")
            found = description_files.parsed(text.decode("utf-8"), f"{path}: {DESCRIPTION}")
            target = os.path.join(folder, found.weights.name)
            with archive.open(found.weights.name) as source, open(target, "wb") as file:
                _copy(source, file, found, path)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError,
            UnicodeDecodeError) as error:
        raise DescriptionError(f"{path}: no archive of a detector ({error})") from None
    return target, found


def _limited(file: IO[bytes], limit: int, what: str) -> bytes:
    content = file.read(limit + 1)
    if len(content) > limit:
        raise DescriptionError(f"{what} is larger than the limit of {limit} bytes")
    return content


def _copy(source: IO[bytes], target: IO[bytes], description: Description, path: str) -> None:
    """Copies the described weights; DescriptionError where they are others."""
    digest, size = hashlib.sha256(), 0
    while block := source.read(_BLOCK):
        size += len(block)
        if size > description.weights.bytes:
            break
        digest.update(block)
        target.write(block)
    if size != description.weights.bytes or digest.hexdigest() != description.weights.sha256:
        raise DescriptionError(f"{path}: {description.weights.name} are not the weights that "
                               "its description describes; the archive is damaged")
