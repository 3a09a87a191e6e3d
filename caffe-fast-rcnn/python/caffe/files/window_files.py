"""Window files: boxes in images with a class and an overlap (Caffe: window_data_layer.cpp).

    # 0                         number of the image
    images/000001.jpg
    3                           channels, height, width
    375
    500
    2                           number of windows
    7 0.82 10 20 110 220        class, overlap with an object of it, x1, y1, x2, y2 (inclusive)
    7 0.11 30 40 60 80
"""
from typing import NamedTuple

import numpy as np

from caffe.core.errors import DataError
from caffe.core.regular_files import open_regular
from caffe.core.types import FilePath


class WindowList(NamedTuple):
    """Windows of all images of a file, one row each: numbers in `paths` (n,), classes (n,), float32
    overlaps (n,), boxes (n, 4); channels of the images.
    """

    paths: list
    images: np.ndarray
    classes: np.ndarray
    overlaps: np.ndarray
    boxes: np.ndarray
    channels: int


def read_window_file(path: FilePath) -> WindowList:
    """The WindowList of a file; DataError with file and line when something is wrong in it."""
    try:
        with open_regular(path, "r", encoding="utf-8", errors="surrogateescape") as file:
            lines = [(number, line.strip()) for number, line in enumerate(file, 1)]
    except OSError as error:
        raise DataError(f"{path}: the window file cannot be read: {error.strerror}") from None
    reader = _LineReader(path, [(number, line) for number, line in lines if line])
    paths: list[str] = []
    tables, channels = [], 0
    while reader.has_more():
        name, channels, windows = reader.image()
        tables.append((np.full(len(windows), len(paths), np.int32), windows))
        paths.append(name)
    if not paths:
        raise DataError(f"{path}: the window file is empty")
    windows = np.concatenate([rows for _, rows in tables])
    numbers = np.concatenate([numbers for numbers, _ in tables])
    return WindowList(paths, numbers, windows[:, 0].astype(np.int32),
                      windows[:, 1].astype(np.float32), windows[:, 2:].astype(np.int32), channels)


class _LineReader:
    """Takes lines one after the other; (line number, text) each, none of them blank."""

    def __init__(self, path: FilePath, lines: list[tuple[int, str]]) -> None:
        self._path, self._lines, self._next = path, lines, 0

    def has_more(self) -> bool:
        return self._next < len(self._lines)

    def image(self) -> tuple[str, int, np.ndarray]:
        """(path, channels, windows (n, 6)) of the next image."""
        if not self._line("# number").startswith("#"):
            raise self._error('expected "# number", with which an image begins')
        name = self._line("the path of an image")
        channels, _, _ = (self._number(what) for what in ("channels", "height", "width"))
        if channels not in (1, 3):
            raise self._error(f"expected 1 or 3 channels, got {channels}")
        return name, channels, self._windows(self._number("the number of windows"))

    def _windows(self, count: int) -> np.ndarray:
        first, end = self._next, self._next + count
        if end > len(self._lines):
            raise self._error(f"expected {count} windows, the file ends after "
                              f"{len(self._lines) - first}")
        self._next = end
        rows = np.empty((count, 6))
        for i, (number, line) in enumerate(self._lines[first:end]):
            try:
                rows[i] = line.split()
            except ValueError:
                raise DataError(f'{self._path}:{number}: expected "class overlap x1 y1 x2 y2", got '
                                f'"{line}"') from None
        return rows

    def _line(self, what: str) -> str:
        if not self.has_more():
            raise self._error(f"the file ends where {what} is expected")
        self._next += 1
        return self._lines[self._next - 1][1]

    def _number(self, what: str) -> int:
        text = self._line(what)
        if not text.isdigit():
            raise self._error(f'expected {what}, got "{text}"')
        return int(text)

    def _error(self, message: str) -> DataError:
        return DataError(f"{self._path}:{self._lines[self._next - 1][0]}: {message}")
