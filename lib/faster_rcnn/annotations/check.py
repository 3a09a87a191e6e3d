"""Annotations are made safe to train on: what is wrong is named once, and clamped, skipped or
refused.

A box is bad when it cannot be read, is not finite, has its corners in the wrong order or reaches
beyond the image. What to do is the data set's `on_bad_box`: clamp (to the image; skip what
clamping cannot mend), skip, or error. `on_unknown_class`, `on_bad_annotation` (files that cannot be
read) and `on_bad_image` are skip or error. What is unusual but usable is counted and named too.
"""
import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from caffe.core.errors import suggest
from faster_rcnn.annotations.forms import AnnotatedObject, Annotation, Rules
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
# Why an object is left out
UNKNOWN, UNUSABLE = "of unknown classes", "with unusable boxes"
# More objects in an image are refused: memory grows with their number
MAX_OBJECTS = 10_000
# Places that such a line names before it says "..."
SHOWN_PLACES = 5

Box = tuple[int, int, int, int]
# {what: [(path, subject), ...]}
Notes = dict[str, list[tuple[str, str]]]

_reported: set = set()


@dataclass(frozen=True)
class CheckedObject:
    """A usable object: index of its class, box as four ints from 0, inclusive; area in pixels."""

    class_index: int
    box: Box
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
            self._bad(path, subject, "has no class name")
            return None
        index = self.class_index.get(obj.name.lower())
        if index is None:
            self._unknown(path, subject, obj.name)
            return None
        fault = obj.problem if obj.box is None else _fault(obj, obj.box, size)
        if obj.box is None or fault:
            self._bad(path, subject, fault)
            return None
        if obj.doubt:
            self._doubtful(path, subject, obj.doubt)
        x1, y1, x2, y2 = map(int, obj.corners(obj.box))
        clamped = _clamp((x1, y1, x2, y2), size)
        if clamped != (x1, y1, x2, y2):
            rule = (f"has the box {_shown(obj.box)}, which reaches beyond the image"
                    f"{' (%d x %d)' % tuple(size) if size else ''}")
            if self.card.on_bad_box != "clamp":
                self._bad(path, subject, rule)
                return None
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
                "skip")
        self.left_out[UNKNOWN] += 1
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
        log.warning("%s: %d problems in %d files, see above", data_set, len(fresh),
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


def _fault(obj: AnnotatedObject, box: Sequence[float], size: Sequence[int] | None) -> str:
    """Why no part of a box, as written, can be used; empty when some can."""
    written = f"has the box {_shown(box)}, "
    if not all(map(math.isfinite, box)):
        return written + "which is not finite"
    if obj.fault(box):
        return written + obj.fault(box)
    x1, y1, x2, y2 = obj.corners(box)
    if x2 < 0 or y2 < 0 or (size and (x1 > size[0] - 1 or y1 > size[1] - 1)):
        return written + "which lies outside the image"
    return ""


def _clamp(box: Box, size: Sequence[int] | None) -> Box:
    """A box limited to the image; without a size only from below."""
    x1, y1, x2, y2 = (max(value, 0) for value in box)
    if not size:
        return x1, y1, x2, y2
    right, bottom = size[0] - 1, size[1] - 1
    return min(x1, right), min(y1, bottom), min(x2, right), min(y2, bottom)


def _shown(box: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in box)
