"""What the words of a command line name: pictures, folders, patterns, videos, cameras."""
import glob
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from caffe.core.errors import UserError
from faster_rcnn.detectors.pictures import ADDRESS, is_video
from faster_rcnn.images.kinds import READ, unread_pictures

# What the demo writes: not to be looked at again
OWN_RESULT = re.compile(r"_detections\.(jpg|mp4)$")
log = logging.getLogger(__name__)

STANDARD_INPUT = "-"
_CAMERA = re.compile(r"camera:(\d+)$")


class SourceError(UserError, ValueError):
    """A word that names no picture or video."""


@dataclass(frozen=True)
class Source:
    """A picture, a video or a camera: its path, or "camera:0"."""

    path: str

    @property
    def camera(self) -> int | None:
        """The number of a camera."""
        found = _CAMERA.match(self.path)
        return int(found.group(1)) if found else None

    @property
    def is_moving(self) -> bool:
        """Whether it has frames."""
        return self.camera is not None or is_video(self.path)


def find_sources(words: Sequence[str], subfolders: bool = False) -> list[Source]:
    """The pictures, videos and cameras that words name, each once, in order.

    A word is a file, a folder (its pictures; with `subfolders` also those in the folders below), a
    pattern such as "*.jpg" or "**/*.png", camera:0, or - for the lines of the standard input.
    Raises SourceError, FileNotFoundError.
    """
    found = [Source(path) for word in words for path in _paths(word, subfolders)]
    return list(dict.fromkeys(found))


def _paths(word: str, subfolders: bool) -> Sequence[str]:
    if word == STANDARD_INPUT:
        return _of_lines(map(os.fsdecode, sys.stdin.buffer), subfolders)
    if ADDRESS.match(word):
        raise SourceError(f"{word} is an address; download it (wget {word}) and name the file")
    if _CAMERA.match(word) or os.path.isfile(word):
        return [word]
    if os.path.isdir(word):
        return _of_folder(word, subfolders)
    if glob.has_magic(word):
        matches = [path for path in sorted(glob.glob(word, recursive=True))
                   if os.path.isfile(path) and not OWN_RESULT.search(path)]
        if not matches:
            raise SourceError(f'no file is named like "{word}"')
        return matches
    raise FileNotFoundError(f"picture {word} does not exist; name pictures, folders, videos, "
                            "camera:0, or - for a list on the standard input")


def _of_lines(lines: Iterable[str], subfolders: bool) -> list[str]:
    """What the lines name; empty ones are passed over."""
    words = [line.rstrip("\r\n") for line in lines]
    found = [path for word in words if word.strip() and word != STANDARD_INPUT
             for path in _paths(word, subfolders)]
    if not found:
        raise SourceError("the standard input (-) names no pictures; it must have a path in a line")
    return found


def _of_folder(folder: str, subfolders: bool) -> list[str]:
    paths = list(_files(folder, subfolders))
    found = [path for path in paths
             if path.lower().endswith(READ) and not OWN_RESULT.search(path)]
    unread = unread_pictures(paths)
    if not found:
        below = "" if subfolders else " (--subfolders looks into the folders below)"
        raise SourceError(f"folder {folder} holds no pictures ({', '.join(READ)}){below}"
                          + (f"; {unread}" if unread else ""))
    if unread:
        log.warning("%s: %s", folder, unread)
    return found


def _files(folder: str, subfolders: bool) -> Iterator[str]:
    """The files of a folder, by name; folders of hidden names are left out."""
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".")) \
            if subfolders else []
        yield from (os.path.join(path, name) for name in sorted(names))
