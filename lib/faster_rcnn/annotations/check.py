"""Annotations are made safe to train on: what is wrong is named once, and clamped, skipped or
refused.

A box is bad when it cannot be read, is not finite, has its corners in the wrong order or reaches
beyond the image. What to do is the data set's `on_bad_box`: clamp (to the image; skip what
clamping cannot mend), skip, or error. `on_unknown_class`, `on_bad_annotation` (files that cannot be
read) and `on_bad_image` are skip or error. What is unusual but usable is counted and named too.
"""
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from caffe.core.errors import suggest
from faster_rcnn.annotations.voc_xml import AnnotationError
from faster_rcnn.images.reading import image_orientation

log = logging.getLogger(__name__)

ON_BAD_BOX = ("clamp", "skip", "error")
SKIP_OR_ERROR = ("skip", "error")
# What is unusual: how a line that counts it calls it
TURNED = "images to be shown turned (EXIF orientation), used as they are stored"
EMPTY = "images without an object"
ONE_PIXEL = "boxes one pixel wide or high"
FRACTIONS = "boxes with fractions, which are cut off"
# Places that such a line names before it says "..."
SHOWN_PLACES = 5

# {what: [(path, subject), ...]}
Notes = dict[str, list[tuple[str, str]]]

_reported: set = set()


@dataclass(frozen=True)
class CheckedObject:
    """A usable object: index of its class, box as four ints from 0, inclusive; area in pixels."""

    class_index: int
    box: tuple[int, int, int, int]
    difficult: bool
    crowd: bool
    area: float


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file or one of its objects, and what was done about it."""

    path: str
    subject: str    # 'object 3 (dog)', or empty for the file
    rule: str
    action: str

    def __str__(self) -> str:
        return f"{self.path}: {self.subject}{' ' if self.subject else ''}{self.rule}; {self.action}"


class AnnotatedObject(Protocol):
    """An object as its file describes it; `voc_xml.VocObject` and `coco_json.CocoObject` are.

    box: None, and `problem` says why, when it cannot be read; area: in pixels, or None; subject:
    how messages call the object; whole_numbers: whether boxes of this form have no fractions.
    """

    name: str
    box: tuple | None
    problem: str
    difficult: bool
    crowd: bool
    area: float | None
    subject: str
    whole_numbers: bool

    def corners(self, box: Sequence[float]) -> Sequence[float]:
        """A box of the file as inclusive corners, from 0."""

    def written(self, corners: Sequence[float]) -> Sequence[float]:
        """Corners as the file would say them."""

    def fault(self, box: Sequence[float]) -> str:
        """Why finite numbers are not a box; empty when they are one."""


class Annotation(Protocol):
    """The objects of one image; size: (width, height) as written, or None; place: its name in
    messages.
    """

    path: str
    size: tuple[int, int] | None
    objects: Sequence[AnnotatedObject]
    place: str


class Rules(Protocol):
    """What a data set wants done about problems; a `datasets.cards.Card` has it."""

    on_bad_box: str
    on_unknown_class: str
    on_bad_annotation: str


class AnnotationChecker:
    """Checks annotations against the classes and image sizes of a data set.

    class_index: lower-case class name -> index; card: what to do (on_bad_box and so on).
    `problems` collects what was found; `notes`, {what: [(path, subject)]}, what is unusual but
    used.
    """

    def __init__(self, class_index: dict[str, int], card: Rules) -> None:
        self.class_index, self.card = class_index, card
        self.problems: list[Problem] = []
        self.notes: Notes = {}

    def check(self, annotation: Annotation, size: Sequence[int] | None,
              image_path: str | None = None) -> list[CheckedObject] | None:
        """The usable objects of an annotation, None when it does not fit the image.

        size: (width, height) of the image, or None; image_path: its file, where there is one.
        """
        turned = image_path is not None and image_orientation(image_path) != 1
        if size and annotation.size and tuple(size) != annotation.size:
            if turned and tuple(size) == annotation.size[::-1]:
                return self._left_out(annotation.path, "was made on the turned image (EXIF "
                                      "orientation), whose pixels are stored unturned; save the "
                                      "image turned")
            self._note(annotation.path, "", "says that the image has %d x %d pixels, but it has "
                       "%d x %d" % (*annotation.size, *size), "the image's own size is used")
        elif turned:
            self._unusual(TURNED, image_path, "")
        if not annotation.objects:
            self._unusual(EMPTY, annotation.place, "")
        checked = (self._object(annotation.path, obj, size or annotation.size)
                   for obj in annotation.objects)
        return [obj for obj in checked if obj is not None]

    def unreadable(self, error: AnnotationError) -> None:
        """Notes an AnnotationError of a whole file, or raises it."""
        path, _, rule = str(error).partition(": ")
        self._left_out(path, rule)

    def _left_out(self, path: str, rule: str) -> None:
        """Notes an annotation that is not used; raises when the data set wants that."""
        if self.card.on_bad_annotation == "error":
            raise AnnotationError(f"{path}: {rule}")
        self._note(path, "", rule, "image left out")

    def _object(self, path: str, obj: AnnotatedObject,
                size: Sequence[int] | None) -> CheckedObject | None:
        subject = obj.subject
        if not obj.name:
            return self._bad(path, subject, "has no class name")
        index = self.class_index.get(obj.name.lower())
        if index is None:
            return self._unknown(path, subject, obj.name)
        if obj.box is None:
            return self._bad(path, subject, obj.problem)
        corners = obj.corners(obj.box)
        fault = _fault(obj, corners, size)
        if fault:
            return self._bad(path, subject, fault)
        box = tuple(int(value) for value in corners)
        clamped = _clamp(box, size)
        if clamped != box:
            rule = (f"has the box {_shown(obj.box)}, which reaches beyond the image"
                    f"{' (%d x %d)' % tuple(size) if size else ''}")
            if self.card.on_bad_box != "clamp":
                return self._bad(path, subject, rule)
            self._note(path, subject, rule, f"clamped to {_shown(obj.written(clamped))}")
        width, height = clamped[2] - clamped[0] + 1, clamped[3] - clamped[1] + 1
        if width == 1 or height == 1:
            self._unusual(ONE_PIXEL, path, subject)
        if obj.whole_numbers and any(value % 1 for value in obj.box):
            self._unusual(FRACTIONS, path, subject)
        area = float(width * height) if obj.area is None else obj.area
        return CheckedObject(index, clamped, obj.difficult, obj.crowd, area)

    def _bad(self, path: str, subject: str, rule: str) -> None:
        """Notes an object that is skipped; raises when the data set wants that."""
        if self.card.on_bad_box == "error":
            raise AnnotationError(f"{path}: {subject} {rule}; mend the file, or set on_bad_box: "
                                  "clamp or skip on the data set's card")
        self._note(path, subject, rule, "skipped")

    def _unknown(self, path: str, subject: str, name: str) -> None:
        known = list(self.class_index)
        if self.card.on_unknown_class == "error":
            raise AnnotationError(
                f'{path}: {subject} is of class "{name}", which is missing on the data set\'s card'
                f'{suggest(name.lower(), known)}; add it to the classes, or set on_unknown_class: '
                "skip")
        self._note(path, subject, f'is of class "{name}", which is not on the data set\'s card'
                   f'{suggest(name.lower(), known)}', "skipped")

    def _note(self, path: str, subject: str, rule: str, action: str) -> None:
        self.problems.append(Problem(path, subject, rule, action))

    def _unusual(self, what: str, path: str, subject: str) -> None:
        self.notes.setdefault(what, []).append((path, subject))


def report(problems: Iterable[Problem], data_set: str, notes: Notes | None = None) -> None:
    """Logs a line per problem that was not logged before in this process, a summary, and a line
    per kind of note ({what: [(path, subject)]}).
    """
    fresh = [problem for problem in dict.fromkeys(problems) if problem not in _reported]
    _reported.update(fresh)
    for problem in fresh:
        log.warning("%s", problem)
    if fresh:
        log.warning("%s: %d problems in %d annotation files, see above", data_set, len(fresh),
                    len({problem.path for problem in fresh}))
    for what, places in (notes or {}).items():
        line = (f"{data_set}: {counted(what, places[:SHOWN_PLACES], len(places))}"
                f"{', ...' if len(places) > SHOWN_PLACES else ''}")
        if line not in _reported:
            _reported.add(line)
            log.info("%s", line)


def counted(what: str, places: Iterable[tuple[str, str]], count: int) -> str:
    """A note as words: how many, what, and places [(path, subject)]."""
    shown = ", ".join(f"{path}: {subject}" if subject else path for path, subject in places)
    return f"{count} {what}: {shown}"


def _fault(obj: AnnotatedObject, corners: Sequence[float], size: Sequence[int] | None) -> str:
    """Why no part of a box can be used; empty when some can."""
    written = f"has the box {_shown(obj.box)}, "
    if not all(map(math.isfinite, obj.box)):
        return written + "which is not finite"
    if obj.fault(obj.box):
        return written + obj.fault(obj.box)
    x1, y1, x2, y2 = corners
    if x2 < 0 or y2 < 0 or (size and (x1 > size[0] - 1 or y1 > size[1] - 1)):
        return written + "which lies outside the image"
    return ""


def _clamp(box: tuple[int, ...], size: Sequence[int] | None) -> tuple[int, ...]:
    """A box (four ints from 0) limited to the image; without a size only from below."""
    last = (size[0] - 1, size[1] - 1) * 2 if size else (math.inf,) * 4
    return tuple(min(max(value, 0), limit) for value, limit in zip(box, last))


def _shown(box: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in box)
