"""VOC annotation files (XML) as objects; their boxes are checked in annotations/check.py."""
import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from caffe.core.errors import UserError
from faster_rcnn.annotations.values import as_number, truth
from faster_rcnn.files.reading import FileError, MissingFileError, read_bytes

# An annotation file of VOC has some 1,000 bytes and a few objects. Memory grows with the number of
# objects in an image, whatever the form of its annotation
MAX_BYTES, MAX_OBJECTS, MAX_DEPTH = 64 << 20, 10_000, 100
# Children of <annotation> beside <object> and <size>, in VOC and as labelling programs write them
_CHILDREN = ("folder", "filename", "path", "source", "owner", "segmented", "database",
             "imagesize")
CORNERS = ("xmin", "ymin", "xmax", "ymax")


class AnnotationError(UserError, ValueError):
    """An annotation that cannot be used; the message starts with the file's path."""


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
    try:
        content = read_bytes(path, MAX_BYTES)
    except FileError as error:
        raise unreadable(path, error) from None
    try:
        return _parsed(path, content)
    except ParseError as error:
        raise AnnotationError(f"{path}: not well-formed XML ({error})") from None
    except AnnotationError:
        raise
    except (DefusedXmlException, ValueError, LookupError) as error:
        raise AnnotationError(f"{path}: XML that is not accepted ({error!r})") from None


def unreadable(path: str, error: FileError) -> AnnotationError:
    """The AnnotationError of an annotation file that cannot be read."""
    if isinstance(error, MissingFileError) and not os.path.islink(path):
        return AnnotationError(f"{path}: the annotation file is not there")
    return AnnotationError(f"{path}: {str(error).removeprefix(path).strip()}")


def _parsed(path: str, content: bytes) -> VocAnnotation:
    """The annotation in a file's content; elements are dropped as soon as they are read."""
    root: Element | None = None
    opened: list[str] = []
    objects: list[VocObject] = []
    size, others = None, set()
    for event, node in ElementTree.iterparse(io.BytesIO(content), events=("start", "end")):
        if event == "start":
            root = node if root is None else root
            opened.append(_tag(node))
            if len(opened) > MAX_DEPTH:
                raise AnnotationError(f"{path}: elements are nested more than {MAX_DEPTH} deep")
            continue
        tag = opened.pop()
        if len(opened) != 1:
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
        if root is not None:
            root.clear()
    _require_form(path, "" if root is None else _tag(root), objects, others)
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
    """Stripped text of a child; empty when there is none."""
    child = _child(node, name)
    return (child.text or "").strip() if child is not None else ""
