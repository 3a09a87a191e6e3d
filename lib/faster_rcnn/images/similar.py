"""Pictures that look alike: shots of one scene, copies that were scaled or compressed anew.

A picture's look is a difference hash (the signs of horizontal differences of brightness on a small
grid) and a thumbnail. Two pictures are alike when few bits of their hashes differ and their
thumbnails hardly do. All pairs are compared by a matrix product of hashes, in blocks.
"""
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import scipy.sparse

from faster_rcnn.files.reading import FileError, read_bytes
from faster_rcnn.images.reading import ImageError, image_fault, image_size

SIDE, THUMBNAIL = 16, 32
# Bits of SIDE * SIDE that may differ, and mean difference of the thumbnails' values (0 to 255)
MAX_BITS, MAX_DIFFERENCE = 40, 8.0
# Rows of the product at a time: with 100,000 pictures they have 0.8 GB
BLOCK = 2048
# More pictures are not compared in pairs: the time grows with the square
MAX_PICTURES = 100_000
_FLAGS = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4,
          2: cv2.IMREAD_REDUCED_COLOR_2, 1: cv2.IMREAD_COLOR}


@dataclass(frozen=True)
class Looks:
    """Of N pictures: signs (N, SIDE * SIDE) float32, +1 or -1; thumbnails (N, THUMBNAIL *
    THUMBNAIL * 3) uint8; readable (N,) bool, False where both mean nothing.
    """

    signs: np.ndarray
    thumbnails: np.ndarray
    readable: np.ndarray


def looks_of(paths: Sequence[str]) -> Looks:
    """The Looks of picture files; those that cannot be read are not readable."""
    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1))) as pool:
        found = list(pool.map(_look, paths))
    blank = np.zeros((THUMBNAIL, THUMBNAIL, 3), np.uint8)
    thumbnails = np.array([blank if one is None else one for one in found], np.uint8).reshape(
        -1, THUMBNAIL, THUMBNAIL, 3)
    return Looks(_signs(thumbnails), thumbnails.reshape(
        -1, THUMBNAIL * THUMBNAIL * 3),
                 np.array([one is not None for one in found], bool))


def similar_pairs(looks: Looks) -> np.ndarray:
    """Pairs (P, 2) of pictures that look alike, the first index below the second, in order."""
    count, bits = looks.signs.shape
    if count > MAX_PICTURES:
        return np.zeros((0, 2), int)
    pairs = [np.zeros((0, 2), int)]
    for start in range(0, count, BLOCK):
        rows = looks.signs[start:start + BLOCK]
        agreement = rows @ looks.signs[start:].T        # bits that agree minus those that differ
        near = np.argwhere(agreement >= bits - 2 * MAX_BITS) + start
        near = near[near[:, 0] < near[:, 1]]
        near = near[looks.readable[near].all(axis=1)]
        pairs.append(near[_differences(looks.thumbnails, near) <= MAX_DIFFERENCE])
    return np.concatenate(pairs)


def groups_of(count: int, pairs: np.ndarray) -> np.ndarray:
    """A number for each of `count` things, (count,) int; things that pairs (P, 2) connect, directly
    or through others, share one.
    """
    graph = scipy.sparse.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])),
                                    shape=(count, count))
    return scipy.sparse.csgraph.connected_components(graph, directed=False)[1]


def _look(path: str) -> np.ndarray | None:
    """The thumbnail of a picture; None for one that cannot be read."""
    if image_fault(path):
        return None
    try:
        side = min(image_size(path))
        factor = next(f for f in (8, 4, 2, 1) if f == 1 or side >= 4 * THUMBNAIL * f)
        # from memory: OpenCV crashes on names that are no text in UTF-8
        im = cv2.imdecode(np.frombuffer(read_bytes(path), np.uint8),
                          _FLAGS[factor] | cv2.IMREAD_IGNORE_ORIENTATION)
    except (ImageError, FileError, cv2.error):
        return None
    return None if im is None else cv2.resize(im, (THUMBNAIL, THUMBNAIL),
                                              interpolation=cv2.INTER_AREA)


def _signs(thumbnails: np.ndarray) -> np.ndarray:
    """Difference hashes (N, SIDE * SIDE) of thumbnails (N, THUMBNAIL, THUMBNAIL, 3)."""
    grey = thumbnails.astype(np.float32).mean(axis=3)
    grid = np.array([cv2.resize(one, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA)
                     for one in grey], np.float32).reshape(-1, SIDE, SIDE + 1)
    return np.where(np.diff(grid, axis=2) > 0, 1, -1).astype(np.float32).reshape(-1, SIDE * SIDE)


def _differences(thumbnails: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Mean absolute differences (P,) of the thumbnails of pairs."""
    found = [np.zeros(0)]
    for start in range(0, len(pairs), BLOCK):
        first, second = (thumbnails[column].astype(np.int16)
                         for column in pairs[start:start + BLOCK].T)
        found.append(np.abs(first - second).mean(axis=1))
    return np.concatenate(found)
