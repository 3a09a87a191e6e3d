"""Detectors by a path: of weights, of a folder with them, of an archive."""
import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

from faster_rcnn.detectors.archive import is_archive, unpack
from faster_rcnn.detectors.description import Description, DescriptionError
from faster_rcnn.detectors.description_files import SUFFIXES, description_path, read_beside


class Found(NamedTuple):
    """The path of weights, and their description, where there is one."""

    weights: str
    description: Description | None
    is_temporary: bool = False      # they go when the block ends


@contextlib.contextmanager
def opened(path: str, what: str = "weights", hint: str = "") -> Iterator[Found]:
    """A detector by its path: a .caffemodel (its suffix may be left out), a folder that holds one
    with a description, or an archive, whose weights lie in a temporary folder within the block.

    what, hint: what an error calls the file, and what to do. Raises FileNotFoundError and
    DescriptionError.
    """
    if is_archive(path):
        with tempfile.TemporaryDirectory() as folder:
            yield Found(*unpack(path, folder), is_temporary=True)
        return
    weights = find_weights(path, what, hint)
    yield Found(weights, read_beside(weights))


def find_weights(path: str, what: str = "weights", hint: str = "") -> str:
    """The weights that a path names, see `opened`."""
    if os.path.isdir(path):
        return _only_one(path)
    for name in (path, *(path + suffix for suffix in SUFFIXES)):
        if os.path.exists(name):
            return name
    raise FileNotFoundError(f"{what} {path} does not exist{hint}")


def _only_one(folder: str) -> str:
    """The weights with a description in a folder, if there is one; without any, the only ones."""
    weights = [os.path.join(folder, name) for name in sorted(os.listdir(folder))
               if name.endswith(SUFFIXES)]
    described = [path for path in weights if os.path.exists(description_path(path))]
    found = described or weights
    if len(found) != 1:
        names = ", ".join(map(os.path.basename, found)) or "none"
        raise DescriptionError(f"folder {folder} must hold one detector, weights with their "
                               f"description; it holds {names}: name one of them")
    return found[0]
