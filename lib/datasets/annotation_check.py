"""Annotations made safe to train on: what is wrong is named once, and clamped, skipped or refused.

A box is bad when it cannot be read, is not finite, has its corners in the wrong order or reaches
beyond the image. What to do is the data set's `on_bad_box`: clamp (to the image; skip what no
clamping can mend), skip, or error; and `on_unknown_class`: error or skip.
"""
import logging
import math
from dataclasses import dataclass

from caffe.errors import suggest
from datasets.voc_xml import AnnotationError

log = logging.getLogger(__name__)

ON_BAD_BOX = ("clamp", "skip", "error")
ON_UNKNOWN_CLASS = ("error", "skip")

_reported = set()


@dataclass(frozen=True)
class CheckedObject:
    """A usable object: index of its class, box as four ints from 0, inclusive."""

    class_index: int
    box: tuple
    difficult: bool


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file or one of its objects, and what was done about it."""

    path: str
    subject: str    # 'object 3 (dog)', or empty for the file
    rule: str
    action: str

    def __str__(self):
        return f"{self.path}: {self.subject}{' ' if self.subject else ''}{self.rule}; {self.action}"


class AnnotationChecker:
    """Checks annotations against the classes and image sizes of a data set.

    class_index: lower-case class name -> index; policy: on_bad_box and on_unknown_class of the
    data set; `problems` collects what was found.
    """

    def __init__(self, class_index, on_bad_box, on_unknown_class):
        self.class_index = class_index
        self.on_bad_box, self.on_unknown_class = on_bad_box, on_unknown_class
        self.problems = []

    def check(self, annotation, size):
        """The usable objects of a VocAnnotation; size: (width, height) of the image, or None."""
        if size and annotation.size and tuple(size) != annotation.size:
            self._note(annotation.path, "", "says that the image has %d x %d pixels, but it has "
                       "%d x %d" % (*annotation.size, *size), "the image's own size is used")
        checked = (self._object(annotation.path, thing, size or annotation.size)
                   for thing in annotation.objects)
        return [thing for thing in checked if thing is not None]

    def unreadable(self, error):
        """Notes an AnnotationError of a whole file, or raises it."""
        if self.on_bad_box == "error":
            raise error
        path, _, rule = str(error).partition(": ")
        self._note(path, "", rule, "image left out")

    def _object(self, path, thing, size):
        subject = f"object {thing.number} ({thing.name or 'no name'})"
        if not thing.name:
            return self._bad(path, subject, "has no class name")
        index = self.class_index.get(thing.name.lower())
        if index is None:
            return self._unknown(path, subject, thing.name)
        if thing.box is None:
            return self._bad(path, subject, thing.problem)
        hopeless = _hopeless(thing.box, size)
        if hopeless:
            return self._bad(path, subject, hopeless)
        box = tuple(int(value - 1) for value in thing.box)
        clamped = _clamp(box, size)
        if clamped != box:
            rule = (f"has the box {_shown(thing.box)}, which reaches beyond the image"
                    f"{' (%d x %d)' % tuple(size) if size else ''}")
            if self.on_bad_box != "clamp":
                return self._bad(path, subject, rule)
            self._note(path, subject, rule, f"clamped to {_shown(v + 1 for v in clamped)}")
        return CheckedObject(index, clamped, thing.difficult)

    def _bad(self, path, subject, rule):
        """Notes an object that is skipped; raises when the data set wants that."""
        if self.on_bad_box == "error":
            raise AnnotationError(f"{path}: {subject} {rule}; mend the file, or set on_bad_box: "
                                  "clamp or skip on the data set's card")
        self._note(path, subject, rule, "skipped")

    def _unknown(self, path, subject, name):
        known = list(self.class_index)
        if self.on_unknown_class == "error":
            raise AnnotationError(
                f'{path}: {subject} is of class "{name}", which is missing on the data set\'s card'
                f'{suggest(name.lower(), known)}; add it to the classes, or set on_unknown_class: '
                "skip")
        self._note(path, subject, f'is of class "{name}", which is not on the data set\'s card'
                   f'{suggest(name.lower(), known)}', "skipped")

    def _note(self, path, subject, rule, action):
        self.problems.append(Problem(path, subject, rule, action))


def report(problems, data_set):
    """Logs a line per problem that was not logged before in this process, and a summary."""
    fresh = [problem for problem in dict.fromkeys(problems) if problem not in _reported]
    _reported.update(fresh)
    for problem in fresh:
        log.warning("%s", problem)
    if fresh:
        log.warning("%s: %d problems in %d annotation files, see above", data_set, len(fresh),
                    len({problem.path for problem in fresh}))


def _hopeless(box, size):
    """Why no part of a box (1-based) can be used; empty when some can."""
    xmin, ymin, xmax, ymax = box
    if not all(map(math.isfinite, box)):
        return f"has the box {_shown(box)}, which is not finite"
    if xmax < xmin or ymax < ymin:
        return f"has the box {_shown(box)}, whose corners are in the wrong order"
    if xmax < 1 or ymax < 1 or (size and (xmin > size[0] or ymin > size[1])):
        return f"has the box {_shown(box)}, which lies outside the image"
    return ""


def _clamp(box, size):
    """A box (four ints from 0) limited to the image; without a size only from below."""
    last = (size[0] - 1, size[1] - 1) * 2 if size else (math.inf,) * 4
    return tuple(min(max(value, 0), limit) for value, limit in zip(box, last))


def _shown(box):
    return ", ".join(f"{value:g}" for value in box)
