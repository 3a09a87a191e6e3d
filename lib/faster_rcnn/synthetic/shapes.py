"""Images of the embedded data set: textured shapes on cluttered backgrounds.

Nothing here reads or writes files, and every random number comes from the generator that is passed
in: equal seeds give equal images. Only the outline depends on the class: colour, texture, size,
rotation and light are drawn independently of it, and every image also has distractors of the same
colours and textures that are no objects (blobs, bars, half discs, angles, lines).

Images are (H, W, 3) uint8 in BGR order, boxes (x1, y1, x2, y2) in inclusive pixels from 0.
"""
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

CLASSES = ("circle", "square", "triangle", "star", "cross", "ring")
DISTRACTORS = ("blob", "bar", "half_disc", "angle")
SIZES = ((256, 192), (240, 192), (256, 208), (192, 240))   # width, height
OBJECT_SIZE = (32, 104)            # diameter of the outline's circle, pixels, drawn log-uniformly
MAX_OBJECTS = 6
MIN_VISIBLE = 0.75                 # share of every object that later ones must leave visible
MIN_CONTRAST = 60.0                # distance of an object's two colours from the mean behind it
_SHIFT = 4                         # cv2 draws polygons with this many fractional bits


@dataclass
class ShapeObject:
    """One object of an image: class name, box (4,) int, and whether the border cuts it."""

    name: str
    box: np.ndarray
    truncated: bool


# ---------------------------------------------------------------------------------------- outlines

def _polar(radii: np.ndarray, angles: np.ndarray) -> np.ndarray:
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _regular(corners: int) -> np.ndarray:
    return _polar(np.ones(corners), np.arange(corners) * 2 * np.pi / corners)


def _blob_outline(rng: np.random.RandomState) -> np.ndarray:
    """A closed wavy line whose widest radius is at least twice the narrowest."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    while True:
        radii: Any = 1 + sum(rng.uniform(0.05, 0.4) * np.cos(k * angles + rng.uniform(0, 2 * np.pi))
                             for k in (1, 2, 3, 5))
        if radii.min() > 0.15 and radii.max() > 2 * radii.min():
            return _polar(radii / radii.max(), angles)


def unit_outline(name: str, rng: np.random.RandomState) -> list[np.ndarray]:
    """The closed lines of a shape within the unit circle: a list of (P, 2) arrays, filled by the
    even-odd rule (a second line is a hole)."""
    if name == "circle":
        return [_regular(48)]
    if name == "ring":
        return [_regular(48), _regular(48) * rng.uniform(0.45, 0.62)]
    if name == "square":
        return [_regular(4)]
    if name == "triangle":
        return [_regular(3)]
    if name == "star":
        radii = np.where(np.arange(10) % 2, rng.uniform(0.38, 0.48), 1.0)
        return [_polar(radii, np.arange(10) * np.pi / 5)]
    if name == "cross":
        arm, end = rng.uniform(0.22, 0.32), 0.95
        quarter = np.array([(end, -arm), (end, arm), (arm, arm)])
        turn = np.array([(0, 1), (-1, 0)])
        return [np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])]
    if name == "blob":
        return [_blob_outline(rng)]
    if name == "bar":
        half = rng.uniform(0.07, 0.16)
        return [np.array([(-1, -half), (1, -half), (1, half), (-1, half)])]
    if name == "half_disc":
        return [_polar(np.ones(24), np.linspace(0, np.pi, 24))]
    if name == "angle":
        wide = rng.uniform(0.2, 0.35)
        return [np.array([(-0.7, -0.7), (0.7, -0.7), (0.7, wide - 0.7), (wide - 0.7, wide - 0.7),
                          (wide - 0.7, 0.7), (-0.7, 0.7)])]
    raise ValueError(f'no shape is called "{name}"; there are: {", ".join(CLASSES + DISTRACTORS)}')


def place(lines: list[np.ndarray], rng: np.random.RandomState, centre: np.ndarray | float,
          diameter: float) -> list[np.ndarray]:
    """Stretches (up to 1 : 1.25), turns by any angle, scales and moves an outline, in pixels."""
    stretch = np.exp(rng.uniform(-0.11, 0.11))
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    scale = diameter / 2 * np.array([stretch, 1 / stretch])
    return [line @ turn * scale + centre for line in lines]


def _fixed(lines: list[np.ndarray]) -> list[np.ndarray]:
    return [np.round(line * (1 << _SHIFT)).astype(np.int32) for line in lines]


def _float32(values: object) -> np.ndarray:
    return np.asarray(values, np.float32)


def outline_mask(lines: list[np.ndarray], width: int, height: int) -> np.ndarray:
    """(H, W) float32 in [0, 1]: the share of each pixel that the outline covers."""
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, _fixed(lines), 255, lineType=cv2.LINE_AA, shift=_SHIFT)
    return mask.astype(np.float32) / 255


# ---------------------------------------------------------------------------------- colour, texture

def smooth_noise(rng: np.random.RandomState, width: int, height: int, cell: int) -> np.ndarray:
    """(H, W) float32 in about [-1, 1]: random values every `cell` pixels, interpolated."""
    grid = rng.uniform(-1, 1, (height // cell + 2, width // cell + 2)).astype(np.float32)
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)


def _pattern(rng: np.random.RandomState, width: int, height: int) -> np.ndarray:
    """(H, W) float32 in [0, 1] that mixes two colours: one of six textures at a random angle."""
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, 14)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    u = (x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period)
    v = (y * np.cos(angle) - x * np.sin(angle)) * (2 * np.pi / period)
    kind = rng.randint(6)
    if kind == 0:                                                   # flat
        return np.zeros((height, width), np.float32)
    if kind == 1:                                                   # gradient across the image
        return np.clip(u / np.abs(u).max() * 0.5 + 0.5, 0, 1)
    if kind == 2:                                                   # stripes
        return np.clip(np.sin(u) * 3 + 0.5, 0, 1)
    if kind == 3:                                                   # checks
        return np.clip(np.sin(u) * np.sin(v) * 6 + 0.5, 0, 1)
    if kind == 4:                                                   # dots
        return np.clip((np.sin(u) + np.sin(v) - 0.9) * 3, 0, 1)
    return np.clip(smooth_noise(rng, width, height, int(period) // 2 + 2) + 0.5, 0, 1)   # marbled


def _two_colours(rng: np.random.RandomState, behind: np.ndarray) -> list[np.ndarray]:
    """Two BGR colours of one texture: both far from the mean colour `behind` the shape, and nearer
    to each other than a random pair, so that the outline is the strongest edge."""
    colours: list[np.ndarray] = []
    while len(colours) < 2:
        colour = _float32(rng.uniform(10, 245, 3))
        if colours:
            colour = colours[0] + rng.uniform(0.15, 0.6) * (colour - colours[0])
        if np.linalg.norm(colour - behind) >= MIN_CONTRAST:
            colours.append(colour)
    return colours


def background(rng: np.random.RandomState, width: int, height: int) -> np.ndarray:
    """(H, W, 3) float32: three colours mixed by noise of several sizes, sometimes textured."""
    base = _float32(rng.uniform(40, 215) + rng.uniform(-50, 50, 3))
    others = base + _float32(rng.uniform(-60, 60, (2, 3)))
    mix = [sum(smooth_noise(rng, width, height, cell) * weight
               for cell, weight in ((96, 0.6), (32, 0.3), (10, 0.2))) for _ in range(2)]
    picture = np.tile(base, (height, width, 1))
    for colour, share in zip(others, mix):
        picture += np.clip(share, 0, 1)[:, :, None] * (colour - base)
    if rng.rand() < 0.4:
        picture += (_pattern(rng, width, height)[:, :, None] - 0.5) * rng.uniform(10, 30)
    return picture


# -------------------------------------------------------------------------------------------- scene

def _window(lines: list[np.ndarray], width: int, height: int,
            margin: int = 8) -> tuple[int, int, int, int]:
    """(x1, y1, x2, y2), half open: the part of an image that an outline and its shadow touch."""
    points = np.concatenate(lines)
    low = np.clip(np.floor(points.min(0)) - margin, 0, (width, height)).astype(int)
    high = np.clip(np.ceil(points.max(0)) + margin, 0, (width, height)).astype(int)
    return (*low, *high)


def paint(picture: np.ndarray, lines: list[np.ndarray], rng: np.random.RandomState) -> None:
    """Fills an outline with a texture and light of its own; sometimes with a shadow or a rim.

    `picture` (H, W, 3) float32 changes in place.
    """
    x1, y1, x2, y2 = _window(lines, picture.shape[1], picture.shape[0])
    view, lines = picture[y1:y2, x1:x2], [line - (x1, y1) for line in lines]
    width, height = x2 - x1, y2 - y1
    if min(width, height) < 1:
        return
    mask = outline_mask(lines, width, height)[:, :, None]
    if rng.rand() < 0.3:
        offset = rng.uniform(2, 5, 2)
        shadow = outline_mask([line + offset for line in lines], width, height)
        view *= 1 - 0.45 * cv2.GaussianBlur(shadow, (0, 0), 2)[:, :, None]
    behind = (view * mask).sum((0, 1)) / max(mask.sum(), 1)
    first, second = _two_colours(rng, behind)
    share = _pattern(rng, width, height)[:, :, None]
    filling = first * (1 - share) + second * share
    filling *= (1 + rng.uniform(0, 0.35) * smooth_noise(rng, width, height, 48))[:, :, None]
    view += mask * (filling - view)
    if rng.rand() < 0.25:
        rim = np.zeros((height, width), np.uint8)
        cv2.polylines(rim, _fixed(lines), True, 255, 1, cv2.LINE_AA, _SHIFT)
        view += rim[:, :, None] / np.float32(255) * (_float32(rng.uniform(0, 255, 3)) - view)


def _line(picture: np.ndarray, rng: np.random.RandomState) -> None:
    height, width = picture.shape[:2]
    points = rng.uniform(-0.1, 1.1, (rng.randint(2, 5), 2)) * (width, height)
    colour = rng.uniform(0, 255, 3).tolist()
    cv2.polylines(picture, [np.round(points).astype(np.int32)], False, colour,
                  int(rng.randint(1, 4)), cv2.LINE_AA)


def _distractor(picture: np.ndarray, rng: np.random.RandomState) -> None:
    """A shape that is no object, with colours and textures like an object's."""
    name = DISTRACTORS[rng.randint(len(DISTRACTORS))]
    centre = rng.uniform(0, 1, 2) * picture.shape[1::-1]
    paint(picture, place(unit_outline(name, rng), rng, centre, rng.uniform(12, 60)), rng)


def draw_clutter(picture: np.ndarray, rng: np.random.RandomState) -> None:
    """A line or a distractor, anywhere; `picture` (H, W, 3) float32 changes in place."""
    (_line if rng.rand() < 0.5 else _distractor)(picture, rng)


def camera(picture: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Light from one side, contrast, blur and sensor noise; returns uint8."""
    height, width = picture.shape[:2]
    picture = picture * (1 + 0.25 * smooth_noise(rng, width, height, 160))[:, :, None]
    picture = (picture - 128) * rng.uniform(0.75, 1.1) + 128 + rng.uniform(-20, 20)
    if rng.rand() < 0.4:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 0.9))
    picture = picture + rng.uniform(1, 8) * rng.standard_normal(picture.shape)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def _fits(mask: np.ndarray, earlier: list[tuple[np.ndarray, float]], whole_area: float) -> bool:
    """Whether at most a fifth of the object lies outside and all earlier objects stay visible."""
    if mask.sum() < 0.8 * whole_area:
        return False
    cover = 1 - mask
    return all((left * cover).sum() >= MIN_VISIBLE * area for left, area in earlier)


def _outline_area(lines: list[np.ndarray]) -> float:
    """Area of an outline in square pixels; the second line is a hole."""
    areas = [abs(cv2.contourArea(line.astype(np.float32))) for line in lines]
    return areas[0] - sum(areas[1:])


def render_scene(rng: np.random.RandomState, size: tuple[int, int] | None = None,
                 classes: Sequence[str] = CLASSES) -> tuple[np.ndarray, list[ShapeObject]]:
    """An image (H, W, 3) uint8 BGR and its one to six ShapeObjects.

    `rng`: np.random.RandomState; `size`: (width, height) in pixels, drawn from SIZES when None.
    """
    width, height = size or SIZES[rng.randint(len(SIZES))]
    picture = background(rng, width, height)
    for _ in range(rng.randint(4, 11)):
        draw_clutter(picture, rng)
    objects: list[ShapeObject] = []
    seen: list[tuple[np.ndarray, float]] = []
    wanted = rng.randint(1, MAX_OBJECTS + 1)
    for _ in range(40):
        if len(objects) == wanted:
            break
        name = classes[rng.randint(len(classes))]
        diameter = np.exp(rng.uniform(*np.log(OBJECT_SIZE)))
        centre = rng.uniform(0.02, 0.98, 2) * (width, height)
        lines = place(unit_outline(name, rng), rng, centre, diameter)
        mask, area = outline_mask(lines, width, height), _outline_area(lines)
        if not _fits(mask, seen, area):
            continue
        paint(picture, lines, rng)
        seen = [(left * (1 - mask), whole) for left, whole in seen] + [(mask, mask.sum())]
        objects.append(ShapeObject(name, mask_box(mask), bool(mask.sum() < 0.97 * area)))
    if rng.rand() < 0.5:
        _line(picture, rng)
    return camera(picture, rng), objects


def mask_box(mask: np.ndarray) -> np.ndarray:
    """(4,) int: the inclusive box of the pixels that are at least half covered."""
    rows, columns = np.flatnonzero(mask.max(1) >= 0.5), np.flatnonzero(mask.max(0) >= 0.5)
    return np.array([columns[0], rows[0], columns[-1], rows[-1]])
