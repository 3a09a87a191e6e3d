"""WindowData: R-CNN's windows, cut out of images and warped (Caffe: window_data_layer.cpp)."""
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from caffe.core import state
from caffe.core.errors import DataError
from caffe.files.images import decode_image, read_bytes
from caffe.files.window_files import WindowList, read_window_file
from caffe.layer_types.common.module import Shapes
from caffe.layer_types.common.registry import register
from caffe.layer_types.inputs.batch_source import BatchSource
from caffe.layer_types.inputs.data_transformer import read_mean
from caffe.proto.caffe_pb2 import LayerParameter, TransformationParameter, WindowDataParameter


class Placement(NamedTuple):
    """Where a window comes from and goes to."""

    box: tuple      # x1, y1, x2, y2 on the image, inclusive
    size: tuple     # height and width of the warped window
    corner: tuple   # top and left of it in the crop; around it the crop stays 0


def place(box: Sequence[int], image_size: tuple[int, int], crop_size: int, context_pad: int,
          square: bool, mirrored: bool) -> Placement:
    """The Placement of a window in a square crop.

    box: x1, y1, x2, y2, inclusive; image_size: height and width; context_pad: pixels of the crop
    on each side that show the window's surroundings; square: the window is enlarged to a square,
    instead of being warped to one. What lies outside the image stays empty.
    """
    if not context_pad and not square:
        return Placement(tuple(box), (crop_size, crop_size), (0, 0))
    x1, y1, x2, y2 = enlarged(box, crop_size / (crop_size - 2 * context_pad), square)
    height, width = image_size
    outside = [max(0, -x1), max(0, -y1), max(0, x2 - width + 1), max(0, y2 - height + 1)]
    scale_x, scale_y = crop_size / (x2 - x1 + 1), crop_size / (y2 - y1 + 1)
    x1, y1, x2, y2 = x1 + outside[0], y1 + outside[1], x2 - outside[2], y2 - outside[3]
    left, top, right = (_round(n * s) for n, s in zip(outside, (scale_x, scale_y, scale_x)))
    left = right if mirrored else left
    # rounding must not push the window over the edge of the crop
    size = (min(_round((y2 - y1 + 1) * scale_y), crop_size - top),
            min(_round((x2 - x1 + 1) * scale_x), crop_size - left))
    return Placement((x1, y1, x2, y2), size, (top, left))


def enlarged(box: Sequence[int], scale: float, square: bool) -> list[int]:
    """A box scaled about its centre, as a square on the longer side if wanted; whole numbers."""
    x1, y1, x2, y2 = (int(n) for n in box)
    half = (x2 - x1 + 1) / 2, (y2 - y1 + 1) / 2
    centre = x1 + half[0], y1 + half[1]
    if square:
        half = (max(half),) * 2
    corners = [c + sign * h * scale for sign in (-1, 1) for c, h in zip(centre, half)]
    return [_round(corner) for corner in corners]


def _round(number: float) -> int:
    """C's round(): halves go away from zero."""
    return int(math.copysign(math.floor(abs(number) + 0.5), number))


@register("WindowData")
class WindowData(BatchSource):
    """Tops: windows (N, C, crop_size, crop_size), BGR, labels (N,), 0 for background.

    The first (1 - fg_fraction) of a batch are drawn from the windows with an overlap below
    bg_threshold, the others from those with at least fg_threshold.
    """

    tops = (2, 2)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p, transform = param.window_data_param, param.transform_param
        batch_size = self.positive(p.batch_size, "batch_size")
        crop_size = self.positive(transform.crop_size, "transform_param { crop_size }")
        if p.crop_mode not in ("warp", "square"):
            raise self.error(f'expected crop_mode "warp" or "square", got "{p.crop_mode}"')
        if 2 * p.context_pad >= crop_size:
            raise self.error(f"expected a context_pad below half the crop_size {crop_size}, got "
                             f"{p.context_pad}")
        self.warn_of_legacy_fields(p, ("mean_file", "crop_size", "mirror"))
        with self.named():
            windows = read_window_file(p.source)
            cutter = _Cutter(p, transform, windows)
            sampler = _Sampler(p, windows, state.new_generator())
            self.feed(_batches(cutter, sampler, transform.mirror),
                      [(batch_size, windows.channels, crop_size, crop_size), (batch_size,)])


def _batches(cutter: "_Cutter", sampler: "_Sampler", mirror: bool) -> Iterator[list[np.ndarray]]:
    """Endless [data (N, C, S, S), labels (N,)]; what is outside of an image is 0 in the data."""
    while True:
        labels = np.zeros(sampler.batch_size, np.float32)
        data = np.zeros((len(labels), *cutter.shape), np.float32)
        for i, (window, label) in enumerate(sampler.batch()):
            cutter.cut(window, bool(mirror and sampler.generator.integers(2)), data[i])
            labels[i] = label
        yield [data, labels]


class _Sampler:
    """Draws batches of windows: background first, then foreground."""

    def __init__(self, p: WindowDataParameter, windows: WindowList,
                 generator: np.random.Generator) -> None:
        self.batch_size, self.generator = p.batch_size, generator
        is_fg = windows.overlaps >= np.float32(p.fg_threshold)
        is_bg = ~is_fg & (windows.overlaps < np.float32(p.bg_threshold))
        self._fg, self._bg = np.flatnonzero(is_fg), np.flatnonzero(is_bg)
        self._classes = windows.classes
        self._num_fg = int(p.batch_size * np.float32(p.fg_fraction))
        if len(self._fg) and self._classes[self._fg].min() <= 0:
            raise DataError(f"{p.source}: expected a class above 0 for every window with an "
                            f"overlap >= {p.fg_threshold:g}, got {self._classes[self._fg].min()}")
        for count, pool, which in ((self._num_fg, self._fg, f">= {p.fg_threshold:g}"),
                                   (p.batch_size - self._num_fg, self._bg,
                                    f"< {p.bg_threshold:g}")):
            if count and not len(pool):
                raise DataError(f"{p.source}: no window has an overlap {which}, but a batch needs "
                                f"{count} of them")

    def batch(self) -> Iterator[tuple[int, int]]:
        """Yields (number of a window, its label)."""
        for _ in range(self.batch_size - self._num_fg):
            yield self._draw(self._bg), 0
        for _ in range(self._num_fg):
            window = self._draw(self._fg)
            yield window, self._classes[window]

    def _draw(self, pool: np.ndarray) -> int:
        return pool[self.generator.integers(len(pool))]


class _Cutter:
    """Cuts windows out of their images."""

    def __init__(self, p: WindowDataParameter, transform: TransformationParameter,
                 windows: WindowList) -> None:
        self._windows, self._p = windows, p
        self._crop_size = transform.crop_size
        # Caffe: unlike other data layers this one reads the scale in its own block
        self._scale = np.float32(p.scale if p.HasField("scale") else transform.scale)
        self.shape = (windows.channels, self._crop_size, self._crop_size)
        self._mean = self._read_mean(transform)
        self._cache: dict[str, np.ndarray] | None = {} if p.cache_images else None

    def _read_mean(self, transform: TransformationParameter) -> np.ndarray:
        """The mean of each pixel of the crop, of shape (C, S, S), (C, 1, 1) or (1, 1, 1)."""
        if transform.mean_file and transform.mean_value:
            raise DataError("transform_param: expected mean_file or mean_value, got both")
        channels, size = self.shape[:2]
        if len(transform.mean_value) not in (0, 1, channels):
            raise DataError(f"transform_param: expected one mean_value or one for each of the "
                            f"{channels} channels, got {len(transform.mean_value)}")
        if not transform.mean_file:
            return np.array(transform.mean_value or [0], np.float32).reshape(-1, 1, 1)
        mean = read_mean(transform.mean_file)
        offset = (mean.shape[2] - size) // 2
        if mean.shape[0] != channels or offset < 0 or mean.shape[1] < offset + size:
            raise DataError(f"the mean in {transform.mean_file} has shape {mean.shape}, which does "
                            f"not cover crops of {self.shape}")
        return mean[:, offset:offset + size, offset:offset + size]

    def cut(self, number: int, mirrored: bool, out: np.ndarray) -> None:
        """Writes window `number` to out (C, S, S), float32 and 0 everywhere."""
        path = self._p.root_folder + self._windows.paths[self._windows.images[number]]
        image = decode_image(self._content(path), True, f"image {path}")
        box = self._windows.boxes[number]
        placed = place(box, image.shape[:2], self._crop_size, self._p.context_pad,
                       self._p.crop_mode == "square", mirrored)
        x1, y1, x2, y2 = placed.box
        if not (0 <= x1 <= x2 < image.shape[1] and 0 <= y1 <= y2 < image.shape[0]) \
                or min(placed.size) < 1:
            raise DataError(f"{self._p.source}: the window {', '.join(map(str, box))} does not lie "
                            f"in image {path} of {image.shape[1]} x {image.shape[0]} pixels")
        height, width = placed.size
        warped = cv2.resize(image[y1:y2 + 1, x1:x2 + 1], (width, height))
        warped = (warped[:, ::-1] if mirrored else warped).transpose(2, 0, 1)[:len(out)]
        top, left = placed.corner
        target = np.s_[:, top:top + height, left:left + width]
        mean = self._mean[target] if self._mean.shape[1] > 1 else self._mean
        out[target] = (warped - mean) * self._scale

    def _content(self, path: str) -> np.ndarray:
        if self._cache is None:
            return read_bytes(path)
        if path not in self._cache:
            self._cache[path] = read_bytes(path)
        return self._cache[path]
