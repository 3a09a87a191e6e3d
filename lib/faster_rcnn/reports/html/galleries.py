"""Pictures of a report: an image, or a part of one, as a JPEG inside the page, with boxes as SVG.

The boxes are no part of the picture, so that the page can hide those below a score.
"""
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from faster_rcnn.evaluation.judged_images import JudgedImage, Kind
from faster_rcnn.images.blob import scaled_image
from faster_rcnn.images.reading import read_image

VIEW = (400, 300)           # a picture fits in these units of its SVG
LETTER = 7.6                # width of a label's letter in these units, not less
LONGEST, SHORTEST = 720, 160     # the longer side of a JPEG in pixels; the second only for bytes
QUALITY = 84
MOST_BYTES = 6 << 20        # of all JPEGs of a page together
LOWEST_SCORE = 0.05         # of boxes that the page holds
MOST_BOXES = 60             # detections of a picture
WORDS = {Kind.RIGHT: "", Kind.IGNORED: "ignored", Kind.DUPLICATE: "duplicate",
         Kind.WRONG_CLASS: "wrong class", Kind.LOCALISATION: "wrong place",
         Kind.BOTH: "wrong class and place", Kind.BACKGROUND: "background"}


@dataclass(frozen=True)
class Box:
    """A box in the units of its picture's SVG. style: right, false, ignored (detections) or object.

    kind: of a false detection, in words; score: of the detection; of an object that of the
    detection that found it, -1 for none; focus: whether the picture is about this box; text: the x
    and y of its label, which stays inside the picture.
    """

    style: str
    x: float
    y: float
    width: float
    height: float
    label: str
    kind: str
    score: float
    focus: bool
    text: tuple[float, float]


@dataclass(frozen=True)
class Picture:
    """A picture of the page: a data URI, the size of its SVG, a caption, and its boxes."""

    source: str
    width: int
    height: int
    caption: str
    boxes: list[Box]

    @property
    def has_focus(self) -> bool:
        """Whether the picture is about one of its boxes."""
        return any(box.focus for box in self.boxes)


@dataclass(frozen=True)
class View:
    """What to show: an image, a caption, the part (x1, y1, x2, y2) of it or None for the whole, and
    the detection or the object (their numbers) that it is about.
    """

    image: JudgedImage
    caption: str
    part: tuple[int, int, int, int] | None = None
    detection: int = -1
    object: int = -1


def pictures(imdb: Any, views: Sequence[View], most_bytes: int = MOST_BYTES) -> list[Picture]:
    """The pictures of views, all JPEGs together at most `most_bytes`."""
    return [_picture(imdb, view, most_bytes // max(1, len(views))) for view in views]


def _picture(imdb: Any, view: View, most_bytes: int) -> Picture:
    im = read_image(imdb.image_path_at(view.image.index))
    x1, y1, x2, y2 = view.part or (0, 0, im.shape[1] - 1, im.shape[0] - 1)
    im = im[y1:y2 + 1, x1:x2 + 1]
    scale = min(VIEW[0] / im.shape[1], VIEW[1] / im.shape[0])
    frame = _Frame((x1, y1), scale, *(max(1, round(side * scale)) for side in im.shape[1::-1]))
    boxes = [*_objects(view, imdb.classes, frame), *_detections(view, imdb.classes, frame)]
    inside = [box for box in boxes if box.x < frame.width and box.y < frame.height
              and box.x + box.width > 0 and box.y + box.height > 0]
    return Picture(jpeg_uri(im, most_bytes), frame.width, frame.height, view.caption, inside)


def jpeg_uri(im: np.ndarray, most_bytes: int) -> str:
    """An image (H, W, 3) BGR as the data URI of a JPEG, made smaller until it fits the bytes.

    A picture is never smaller than SHORTEST, whatever the bytes.
    """
    side = min(LONGEST, max(im.shape[:2]))
    while True:
        scale = side / max(im.shape[:2])
        small = im if scale == 1 else scaled_image(im, scale, cv2.INTER_AREA)
        done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not done:
            raise OSError("a picture of the report could not be encoded")
        if len(data) * 4 / 3 <= most_bytes or side <= SHORTEST:
            return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
        side = max(SHORTEST, side * 3 // 4)


@dataclass(frozen=True)
class _Frame:
    """Where the part of an image that is shown begins, and its size in the units of the SVG."""

    origin: tuple[int, int]
    scale: float
    width: int
    height: int

    def box(self, style: str, box: np.ndarray, words: tuple[str, str], score: float,
            focus: bool) -> Box:
        """A Box of inclusive pixels of the image; words: label and kind."""
        x1, y1 = (float(box[i] - self.origin[i]) * self.scale for i in (0, 1))
        x2, y2 = (float(box[i + 2] + 1 - self.origin[i]) * self.scale for i in (0, 1))
        letters = len(words[0]) + (len(words[1]) + 3 if focus and words[1] else 0)
        at_x = max(3.0, min(x1 + 2, self.width - LETTER * letters))
        at_y = y2 - 5 if style == "object" else y1 - 5
        at_y = min(max(at_y, 14.0), self.height - 4.0)
        return Box(style, round(x1, 1), round(y1, 1), round(x2 - x1, 1), round(y2 - y1, 1), *words,
                   round(score, 3), focus, (round(at_x, 1), round(at_y, 1)))


def _objects(view: View, classes: Sequence[str], frame: _Frame) -> list[Box]:
    """The objects that count."""
    image = view.image
    return [frame.box("object", image.boxes[r], (f"missed {classes[image.classes[r]]}", ""),
                      max(float(image.found[r]), -1.0), r == view.object)
            for r in np.where(~image.ignored)[0]]


def _detections(view: View, classes: Sequence[str], frame: _Frame) -> list[Box]:
    """The detections, the best one last and so on top."""
    image, boxes = view.image, []
    for i in np.where(image.dets[:, 4] >= LOWEST_SCORE)[0][:MOST_BOXES][::-1]:
        kind = Kind(image.kinds[i])
        style = "false" if kind.is_false else "right" if kind is Kind.RIGHT else "ignored"
        label = f"{classes[image.det_classes[i]]} {image.dets[i, 4]:.2f}"
        boxes.append(frame.box(style, image.dets[i, :4], (label, WORDS[kind]),
                               float(image.dets[i, 4]), i == view.detection))
    return boxes


def around(box: np.ndarray, size: tuple[int, int], margin: float = 0.8,
           least: int = 64) -> tuple[int, int, int, int]:
    """The part of an image (width, height) around a box: `margin` of its sides more on each side,
    at least `least` pixels high, in the shape of VIEW where the image is large enough; inclusive.
    """
    ratio = VIEW[0] / VIEW[1]
    width, height = ((1 + 2 * margin) * (box[i + 2] - box[i] + 1) for i in (0, 1))
    height = max(height, width / ratio, least)
    part = []
    for i, length in ((0, height * ratio), (1, height)):
        length = min(round(float(length)), size[i])
        low = round(float(box[i] + box[i + 2] + 1 - length) / 2)
        low = min(max(low, 0), size[i] - length)
        part.append((low, low + length - 1))
    return part[0][0], part[1][0], part[0][1], part[1][1]
