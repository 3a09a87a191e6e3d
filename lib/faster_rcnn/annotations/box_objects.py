"""Objects and annotations of the formats that only name a class and a box.

How a format counts pixels is the class of its objects: corners(box) gives our inclusive pixels from
0, written(corners) goes back.
"""
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

Box = tuple[float, float, float, float]
# Shares of an image that are larger can only be pixels: a box beyond the border has less than 2
PIXELS = 4


@dataclass(frozen=True)
class BoxObject:
    """A class name and a box; `place` is how messages call the object ("line 3").

    box: x1, y1, x2, y2 as edges between pixels: 0, 0 is the upper left corner of the image and its
    width and height the lower right one. None, and `problem` says why, when it cannot be read.
    """

    place: str
    name: str
    box: Box | None
    problem: str = ""
    doubt: str = ""
    difficult: bool = False

    crowd = False
    area = None
    whole_numbers = False

    @property
    def subject(self) -> str:
        """How messages call the object, with its class."""
        return f"{self.place} ({self.name or 'no name'})"

    def corners(self, box: Sequence[float]) -> Sequence[float]:
        """A box of the file as inclusive corners, from 0; edges are rounded to whole pixels."""
        return edges_to_corners(box)

    def written(self, corners: Sequence[float]) -> Sequence[float]:
        """Corners as the file would say them."""
        x1, y1, x2, y2 = corners
        return x1, y1, x2 + 1, y2 + 1

    def fault(self, box: Sequence[float]) -> str:
        """Why finite numbers are not a box; empty when they are one."""
        x1, y1, x2, y2 = box
        if x2 < x1 or y2 < y1:
            return "whose corners are in the wrong order"
        return "whose width or height is 0" if x2 == x1 or y2 == y1 else ""


@dataclass(frozen=True)
class OneBasedObject(BoxObject):
    """An object whose box is as in VOC's files: inclusive pixels from 1."""

    def corners(self, box: Sequence[float]) -> Sequence[float]:
        """A box of the file as inclusive corners, from 0."""
        return tuple(value - 1 for value in box)

    def written(self, corners: Sequence[float]) -> Sequence[float]:
        """Corners as the file would say them."""
        return tuple(value + 1 for value in corners)

    def fault(self, box: Sequence[float]) -> str:
        """Why finite numbers are not a box; empty when they are one."""
        x1, y1, x2, y2 = box
        return "whose corners are in the wrong order" if x2 < x1 or y2 < y1 else ""


@dataclass(frozen=True)
class NormalisedObject(BoxObject):
    """An object whose box is its centre, width and height in widths and heights of the image.

    image_size: (width, height) in pixels.
    """

    image_size: tuple[int, int] = (1, 1)

    def corners(self, box: Sequence[float]) -> Sequence[float]:
        """A box of the file as inclusive corners, from 0; edges are rounded to whole pixels."""
        x, y, w, h = box
        width, height = self.image_size
        return edges_to_corners(((x - w / 2) * width, (y - h / 2) * height,
                                 (x + w / 2) * width, (y + h / 2) * height))

    def written(self, corners: Sequence[float]) -> Sequence[float]:
        """Corners as the file would say them."""
        x1, y1, x2, y2 = corners
        width, height = self.image_size
        return ((x1 + x2 + 1) / 2 / width, (y1 + y2 + 1) / 2 / height,
                (x2 - x1 + 1) / width, (y2 - y1 + 1) / height)

    def fault(self, box: Sequence[float]) -> str:
        """Why finite numbers are not a box; empty when they are one."""
        if max(map(abs, box)) > PIXELS:
            return "which are pixels; YOLO's numbers are shares of the image, 0 to 1"
        return "whose width or height is not positive" if box[2] <= 0 or box[3] <= 0 else ""


@dataclass(frozen=True)
class ShareObject(BoxObject):
    """An object whose box is its edges in widths and heights of the image, 0 to 1.

    image_size: (width, height) in pixels; files of many images say it only with the image.
    """

    image_size: tuple[int, int] = (1, 1)

    def corners(self, box: Sequence[float]) -> Sequence[float]:
        """A box of the file as inclusive corners, from 0; edges are rounded to whole pixels."""
        width, height = self.image_size
        x1, y1, x2, y2 = box
        return edges_to_corners((x1 * width, y1 * height, x2 * width, y2 * height))

    def written(self, corners: Sequence[float]) -> Sequence[float]:
        """Corners as the file would say them."""
        x1, y1, x2, y2 = corners
        width, height = self.image_size
        return x1 / width, y1 / height, (x2 + 1) / width, (y2 + 1) / height


@dataclass(frozen=True)
class BoxAnnotation:
    """The objects of one image; size: (width, height) as written, or None."""

    path: str
    place: str
    size: tuple[int, int] | None
    objects: tuple[BoxObject, ...]

    def of_image(self, size: tuple[int, int]) -> "BoxAnnotation":
        """The annotation for an image of (width, height) pixels, which shares need."""
        return replace(self, objects=tuple(
            replace(obj, image_size=size) if isinstance(obj, ShareObject) else obj
            for obj in self.objects))


def edges_to_corners(edges: Sequence[float]) -> Sequence[float]:
    """Edges between pixels as inclusive pixels: the nearest whole ones, at least one pixel."""
    if not all(map(math.isfinite, edges)):
        return edges
    x1, y1, x2, y2 = map(_nearest, edges)
    return x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)


def bounding_box(points: Sequence[Sequence[float]]) -> Box:
    """The smallest box around points (N, 2)."""
    xs, ys = zip(*points)
    return min(xs), min(ys), max(xs), max(ys)


def _nearest(value: float) -> int:
    return math.floor(value + 0.5)
