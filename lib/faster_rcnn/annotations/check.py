"""Annotations are made safe to train on: what is wrong is named once, and clamped, skipped or
refused.

A box is bad when it cannot be read, is not finite, has its corners in the wrong order or reaches
beyond the image. What to do is the data set's `on_bad_box`: clamp (to the image; skip what
clamping cannot mend), skip, or error. `on_unknown_class`, `on_bad_annotation` (files that cannot be
read) and `on_bad_image` are skip or error. What is unusual but usable is counted and named too.
"""
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from caffe.core.errors import suggest
from faster_rcnn.annotations.files import MAX_OBJECTS, AnnotationError
from faster_rcnn.annotations.problems import Notes, Problem
from faster_rcnn.images.reading import image_orientation

ON_BAD_BOX = ("clamp", "skip", "error")
SKIP_OR_ERROR = ("skip", "error")
# What is unusual: how a line that counts it calls it
TURNED = "images to be shown turned (EXIF orientation), used as they are stored"
EMPTY = "images without an object"
UNLABELLED = "images without a label file, taken as without objects"
ONE_PIXEL = "boxes one pixel wide or high"
FRACTIONS = "boxes with fractions, which are cut off"
# Why an object is left out
UNKNOWN, UNUSABLE = "of unknown classes", "with unusable boxes"


@dataclass(frozen=True)
class CheckedObject:
    """A usable object: index of its class, box as four ints from 0, inclusive; area in pixels."""

    class_index: int
    box: tuple[int, int, int, int]
    difficult: bool
    crowd: bool
    area: float


class AnnotatedObject(Protocol):
    """An object as its file describes it; `voc_xml.VocObject` and `coco_json.CocoObject` are.

    box: None, and `problem` says why, when it cannot be read; doubt: which flag (difficult, crowd)
    cannot be read and counts as no, or empty; area: in pixels, or None; subject: how messages call
    the object; whole_numbers: whether boxes of this form have no fractions.
    """

    @property
    def name(self) -> str: ...
    @property
    def box(self) -> tuple[float, float, float, float] | None: ...
    @property
    def problem(self) -> str: ...
    @property
    def doubt(self) -> str: ...
    @property
    def difficult(self) -> bool: ...
    @property
    def crowd(self) -> bool: ...
    @property
    def area(self) -> float | None: ...
    @property
    def subject(self) -> str: ...
    @property
    def whole_numbers(self) -> bool: ...

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

    @property
    def path(self) -> str: ...
    @property
    def size(self) -> tuple[int, int] | None: ...
    @property
    def objects(self) -> Sequence[AnnotatedObject]: ...
    @property
    def place(self) -> str: ...


class Rules(Protocol):
    """What a data set wants done about problems; a `datasets.cards.Card` has it."""

    @property
    def on_bad_box(self) -> str: ...
    @property
    def on_unknown_class(self) -> str: ...
    @property
    def on_bad_annotation(self) -> str: ...
    @property
    def path(self) -> str: ...


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
        self.left_out: Counter = Counter()      # objects by reason: UNKNOWN, UNUSABLE

    def check(self, annotation: Annotation, size: Sequence[int] | None,
              image_path: str | None = None) -> list[CheckedObject] | None:
        """The usable objects of an annotation, None when it does not fit the image.

        size: (width, height) of the image, or None; image_path: its file, where there is one.
        """
        turned = image_path is not None and image_orientation(image_path) != 1
        if size and annotation.size and tuple(size) != annotation.size:
            if turned and tuple(size) == annotation.size[::-1]:
                self._left_out(annotation.path, "was made on the turned image (EXIF orientation), "
                               "whose pixels are stored unturned; save the image turned")
                return None
            self._note(annotation.path, "", "says that the image has %d x %d pixels, but it has "
                       "%d x %d" % (*annotation.size, *size), "the image's own size is used")
        elif turned and image_path is not None:
            self._unusual(TURNED, image_path, "")
        if len(annotation.objects) > MAX_OBJECTS:
            self._left_out(annotation.path, f"{annotation.place} has {len(annotation.objects)} "
                           f"objects, more than the limit of {MAX_OBJECTS} in an image")
            return None
        if not annotation.objects:
            self._unusual(EMPTY, annotation.place, "")
        checked = (self._object(annotation.path, obj, size or annotation.size)
                   for obj in annotation.objects)
        return [obj for obj in checked if obj is not None]

    def unusual(self, what: str, path: str) -> None:
        """Counts an image that is unusual, but used."""
        self._unusual(what, path, "")

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
        """An object as it is used; None, and a note why, when it is not."""
        index = self.class_index.get(obj.name.lower())
        if not obj.name:
            self._bad(path, obj.subject, "has no class name")
        elif index is None:
            self._unknown(path, obj.subject, obj.name)
        elif obj.box is None:
            self._bad(path, obj.subject, obj.problem)
        else:
            return self._boxed(path, obj, obj.box, index, size)
        return None

    def _boxed(self, path: str, obj: AnnotatedObject, written: Sequence[float], index: int,
               size: Sequence[int] | None) -> CheckedObject | None:
        """As _object, for one with a class and a box."""
        corners = obj.corners(written)
        fault = _fault(obj, written, corners, size)
        if fault:
            self._bad(path, obj.subject, fault)
            return None
        if obj.doubt:
            self._doubtful(path, obj.subject, obj.doubt)
        x1, y1, x2, y2 = clamped = _clamp(corners, size)
        if clamped != tuple(int(value) for value in corners):
            rule = (f"has the box {_shown(written)}, which reaches beyond the image"
                    f"{' (%d x %d)' % tuple(size) if size else ''}")
            if self.card.on_bad_box != "clamp":
                self._bad(path, obj.subject, rule)
                return None
            self._note(path, obj.subject, rule, f"clamped to {_shown(obj.written(clamped))}")
        if x1 == x2 or y1 == y2:
            self._unusual(ONE_PIXEL, path, obj.subject)
        if obj.whole_numbers and any(value % 1 for value in written):
            self._unusual(FRACTIONS, path, obj.subject)
        area = float((x2 - x1 + 1) * (y2 - y1 + 1)) if obj.area is None else obj.area
        return CheckedObject(index, clamped, obj.difficult, obj.crowd, area)

    def _bad(self, path: str, subject: str, rule: str) -> None:
        """Notes an object that is skipped; raises when the data set wants that."""
        if self.card.on_bad_box == "error":
            raise AnnotationError(f"{path}: {subject} {rule}; mend the file, or set on_bad_box: "
                                  "clamp or skip on the data set's card")
        self.left_out[UNUSABLE] += 1
        self._note(path, subject, rule, "skipped")

    def _doubtful(self, path: str, subject: str, doubt: str) -> None:
        """Notes a flag that cannot be read; raises when the data set wants that."""
        if self.card.on_bad_annotation == "error":
            raise AnnotationError(f"{path}: {subject} {doubt}; mend the file")
        self._note(path, subject, doubt, "taken as no")

    def _unknown(self, path: str, subject: str, name: str) -> None:
        known = list(self.class_index)
        if self.card.on_unknown_class == "error":
            raise AnnotationError(
                f'{path}: {subject} is of class "{name}", which is missing on the data set\'s card'
                f'{suggest(name.lower(), known)}; add it to the classes, or set on_unknown_class: '
                f"skip{f' ({self.card.path})' if self.card.path else ''}")
        self.left_out[UNKNOWN] += 1
        self._note(path, subject, f'is of class "{name}", which is not on the data set\'s card'
                   f'{suggest(name.lower(), known)}', "skipped")

    def _note(self, path: str, subject: str, rule: str, action: str) -> None:
        self.problems.append(Problem(path, subject, rule, action))

    def _unusual(self, what: str, path: str, subject: str) -> None:
        self.notes.setdefault(what, []).append((path, subject))


def _fault(obj: AnnotatedObject, box: Sequence[float], corners: Sequence[float],
           size: Sequence[int] | None) -> str:
    """Why no part of a box can be used; empty when some can."""
    written = f"has the box {_shown(box)}, "
    if not all(map(math.isfinite, box)):
        return written + "which is not finite"
    if obj.fault(box):
        return written + obj.fault(box)
    x1, y1, x2, y2 = corners
    if x2 < 0 or y2 < 0 or (size and (x1 > size[0] - 1 or y1 > size[1] - 1)):
        return written + "which lies outside the image"
    return ""


def _clamp(corners: Sequence[float], size: Sequence[int] | None) -> tuple[int, int, int, int]:
    """Corners from 0, cut to whole pixels and limited to the image; without a size only from
    below.
    """
    width, height = size or (None, None)
    x1, y1, x2, y2 = (max(int(value), 0) if length is None else min(max(int(value), 0), length - 1)
                      for value, length in zip(corners, (width, height) * 2))
    return x1, y1, x2, y2


def _shown(box: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in box)
