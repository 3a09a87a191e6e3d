"""VOC annotation files (XML) as objects; their boxes are checked in annotations/check.py."""
import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from faster_rcnn.annotations.files import (
    MAX_OBJECTS,
    AnnotationError,
    annotation_bytes,
    xml_elements,
    xml_errors,
)
from faster_rcnn.annotations.values import as_number, truth

# An annotation file of VOC has some 1,000 bytes and a few objects
MAX_BYTES = 64 << 20
# Children of <annotation> beside <object> and <size>, in VOC and as labelling programs write them
_CHILDREN = ("folder", "filename", "path", "source", "owner", "segmented", "database",
             "imagesize")
CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class VocObject:
    """An <object>: `number` counts from 1; `box` is xmin, ymin, xmax, ymax, 1-based as written.

    `box` is None, and `problem` says why, when it cannot be read. `doubt` says which flag cannot.
    """

    number: int
    name: str
    box: tuple[float, float, float, float] | None
    problem: str
    difficult: bool
    truncated: bool
    pose: str
    doubt: str = ""

    # VOC has no crowds, and the area of a box is its number of pixels
    crowd = False
    area = None
    # whether boxes are meant to be whole numbers
    whole_numbers = True

    @property
    def subject(self) -> str:
        """How messages call the object."""
        return f"object {self.number} ({self.name or 'no name'})"

    @staticmethod
    def corners(box: Sequence[float]) -> tuple[float, ...]:
        """A box as written, from 0."""
        return tuple(value - 1 for value in box)

    @staticmethod
    def written(corners: Sequence[float]) -> tuple[float, ...]:
        """Corners from 0 as the file would say them."""
        return tuple(value + 1 for value in corners)

    @staticmethod
    def fault(box: Sequence[float]) -> str:
        """Why finite numbers are not a box; empty when they are one."""
        xmin, ymin, xmax, ymax = box
        return "whose corners are in the wrong order" if xmax < xmin or ymax < ymin else ""


@dataclass(frozen=True)
class VocAnnotation:
    """A file: `size` is (width, height) in pixels as written, or None."""

    path: str
    size: tuple[int, int] | None
    objects: tuple[VocObject, ...]

    @property
    def place(self) -> str:
        """How messages call the annotation."""
        return self.path


def read_annotation(path: str) -> VocAnnotation:
    """Reads a VOC annotation file.

    Names of elements may have a namespace and capital letters. Raises AnnotationError for a file
    that is missing, not XML, XML of another form, or too large (MAX_BYTES, MAX_OBJECTS).
    """
    content = annotation_bytes(path, MAX_BYTES)
    with xml_errors(path):
        return _parsed(path, content)


def _parsed(path: str, content: bytes) -> VocAnnotation:
    """The annotation in a file's content."""
    objects: list[VocObject] = []
    size, others, root = None, set(), ""
    for node, around in xml_elements(path, content, _tag):
        tag = _tag(node)
        if not around:
            root = tag
        if len(around) != 1:
            continue
        if tag == "object":
            objects.append(_object(node, len(objects) + 1))
        elif tag == "size":
            size = _size(node)
        elif tag not in _CHILDREN and (len(node) or node.attrib):
            others.add(tag)
        if len(objects) > MAX_OBJECTS:
            raise AnnotationError(f"{path}: more than {MAX_OBJECTS} objects in an image, which is "
                                  "the limit")
    _require_form(path, root, objects, others)
    return VocAnnotation(path, size, tuple(objects))


def _require_form(path: str, root: str, objects: list[VocObject], others: set[str]) -> None:
    """AnnotationError for XML of another form, which must not count as an image without objects."""
    if root != "annotation":
        raise AnnotationError(f"{path}: XML of another form: <{root}> where VOC has <annotation>")
    if not objects and others:
        raise AnnotationError(f"{path}: XML of another form: no <object> in <annotation>, but "
                              + ", ".join(f"<{tag}>" for tag in sorted(others)[:5]))


def _tag(node: Element) -> str:
    """The name of an element without namespace, in small letters."""
    return node.tag.rpartition("}")[2].lower()


def _child(node: Element | None, name: str) -> Element | None:
    """The first child of a name."""
    return next((child for child in node or () if _tag(child) == name), None)


def _object(node: Element, number: int) -> VocObject:
    box, problem = _box(_child(node, "bndbox"))
    difficult = _text(node, "difficult")
    doubt = ("" if truth(difficult) is not None else
             f'has difficult "{difficult}", which is neither yes nor no')
    return VocObject(number, _text(node, "name"), box, problem, difficult=bool(truth(difficult)),
                     truncated=bool(truth(_text(node, "truncated"))), pose=_text(node, "pose"),
                     doubt=doubt)


def _box(node: Element | None) -> tuple[tuple | None, str]:
    """(four floats, "") or (None, what is wrong)."""
    if node is None:
        return None, "has no bndbox"
    values = []
    for name in CORNERS:
        text = _text(node, name)
        if not text:
            return None, f"has no {name}"
        values.append(as_number(text))
        if values[-1] is None:
            return None, f'has {name} "{text}", which is not a number'
    return tuple(values), ""


def _size(node: Element) -> tuple[int, int] | None:
    width, height = as_number(_text(node, "width")), as_number(_text(node, "height"))
    if width is None or height is None or not math.isfinite(width + height):
        return None
    return int(width), int(height)


def _text(node: Element, name: str) -> str:
    """Text of a child in one line; empty when there is none."""
    child = _child(node, name)
    return " ".join((child.text or "").strip().splitlines()) if child is not None else ""
