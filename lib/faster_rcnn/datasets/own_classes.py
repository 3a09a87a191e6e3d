"""Data sets that are users' own classes: where their errors are, and their boxes in the images."""
import contextlib
import os
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Sequence

import numpy as np

import caffe
from caffe.core.errors import UserError
from faster_rcnn.annotations.problems import Problem
from faster_rcnn.images.reading import ImageError, image_size

_LIB = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
# Code that is not the user's: ours, Python's, and installed packages
_OTHERS = tuple(os.path.join(os.path.abspath(folder), "") for folder in (
    _LIB, os.path.dirname(caffe.__file__), *(sysconfig.get_path(name) for name in
                                             ("stdlib", "platstdlib", "purelib", "platlib"))))

# The highest values of an unsigned dtype that count as negative: a box has no side there
_WRAPPED = 100


class DatasetError(UserError, ValueError):
    """A data set that cannot be used; the message names it, or one of its images."""


@contextlib.contextmanager
def users_errors(name: str) -> Iterator[None]:
    """An exception raised by a user's own class becomes a DatasetError with its file and line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__)
                  if not os.path.abspath(frame.filename).startswith(_OTHERS)]
        if not frames or not os.path.isfile(frames[-1].filename):
            raise
        place = frames[-1]
        raise DatasetError(f"{place.filename}:{place.lineno}: {type(error).__name__}: {error} (in "
                           f"{place.name}, of data set {name})") from error


def clamp_to_images(roidb: list[dict], path_at: Callable[[int], str],
                    axes: Sequence[int] = (0, 1)) -> list[Problem]:
    """Clamps annotated boxes that reach beyond their image, in place; returns what was changed.

    axes: 0 for x, 1 for y. A side of -1 that an unsigned dtype holds as 65535 counts as -1. Boxes
    without a part in the image stay: training refuses them. Entries of mirrored images are clamped
    without being returned.
    """
    problems = []
    for i, entry in enumerate(roidb):
        if not (entry["gt_classes"] > 0).any():
            continue
        try:
            path = path_at(i)
            width, height = image_size(path)
        except (ImageError, OSError):       # named by whoever reads the image
            continue
        size = (height, width) if entry.get("transposed") else (width, height)
        found = [Problem(path, *words) for words in _clamp(entry, size, axes)]
        if not any(entry.get(key) for key in ("flipped", "vflipped", "transposed")):
            problems += found
    return problems


def _clamp(entry: dict, size: tuple[int, int],
           axes: Sequence[int]) -> Iterator[tuple[str, str, str]]:
    """Clamps the boxes of an entry; yields (box, what is wrong, what was done)."""
    last, boxes = np.array(size * 2) - 1, _signed(entry["boxes"])
    columns = [column for axis in axes for column in (axis, axis + 2)]
    beyond = ((boxes < 0) | (boxes > last))[:, columns].any(axis=1)
    for row in np.where(beyond & (entry["gt_classes"] > 0))[0]:
        low, high = boxes[row, :2], boxes[row, 2:]
        inside = (low <= high) & (high >= 0) & (low <= last[:2])
        if inside[list(axes)].all():
            clamped = boxes[row].copy()
            clamped[columns] = np.clip(clamped, 0, last)[columns]
            if not entry["boxes"].flags.writeable:
                entry["boxes"] = entry["boxes"].copy()
            entry["boxes"][row, columns] = clamped[columns]
            yield (f"box {row + 1}", f"is {boxes[row].tolist()}, which reaches beyond the image "
                   f"({size[0]} x {size[1]})", f"clamped to {clamped.tolist()}")


def _signed(boxes: np.ndarray) -> np.ndarray:
    """Boxes (R, 4) with the sides that are negative in an unsigned dtype as negative numbers."""
    if boxes.dtype.kind != "u":
        return boxes
    signed, values = boxes.astype(np.int64), np.iinfo(boxes.dtype).max + 1
    return np.where(signed >= values - _WRAPPED, signed - values, signed)
