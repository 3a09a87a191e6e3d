"""VOC annotation files (XML) as objects; their boxes are checked in annotations/check.py."""
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from caffe.core.errors import UserError

CORNERS = ("xmin", "ymin", "xmax", "ymax")


class AnnotationError(UserError, ValueError):
    """An annotation that cannot be used; the message starts with the file's path."""


@dataclass(frozen=True)
class VocObject:
    """An <object>: `number` counts from 1; `box` is xmin, ymin, xmax, ymax, 1-based as written.

    `box` is None, and `problem` says why, when it cannot be read.
    """

    number: int
    name: str
    box: tuple[float, float, float, float] | None
    problem: str
    difficult: bool
    truncated: bool
    pose: str

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
    """Reads a VOC annotation file; AnnotationError when it is missing or not XML."""
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise AnnotationError(f"{path}: the annotation file is not there") from None
    except ParseError as error:
        raise AnnotationError(f"{path}: not well-formed XML ({error})") from None
    except (DefusedXmlException, ValueError, LookupError) as error:
        raise AnnotationError(f"{path}: XML that is not accepted ({error!r})") from None
    objects = tuple(_object(node, i + 1) for i, node in enumerate(root.findall("object")))
    return VocAnnotation(path, _size(root.find("size")), objects)


def _object(node: Element, number: int) -> VocObject:
    box, problem = _box(node.find("bndbox"))
    return VocObject(number, _text(node, "name"), box, problem,
                     difficult=_flag(node, "difficult"), truncated=_flag(node, "truncated"),
                     pose=_text(node, "pose"))


def _box(node: Element | None) -> tuple[tuple | None, str]:
    """(four floats, "") or (None, what is wrong)."""
    if node is None:
        return None, "has no bndbox"
    values = []
    for name in CORNERS:
        text = _text(node, name)
        if not text:
            return None, f"has no {name}"
        try:
            values.append(float(text))
        except ValueError:
            return None, f'has {name} "{text}", which is not a number'
    return tuple(values), ""


def _size(node: Element | None) -> tuple[int, int] | None:
    try:
        return int(float(_text(node, "width"))), int(float(_text(node, "height")))
    except (AttributeError, ValueError, OverflowError):
        return None


def _text(node: Element, name: str) -> str:
    """Stripped text of a child; empty when there is none."""
    return (node.findtext(name) or "").strip()


def _flag(node: Element, name: str) -> bool:
    return _text(node, name) not in ("", "0", "false", "False")
