"""VOC annotation files (XML) as objects; nothing is judged here, see annotation_check.py."""
from dataclasses import dataclass
from typing import Optional
from xml.etree.ElementTree import ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

CORNERS = ("xmin", "ymin", "xmax", "ymax")


class AnnotationError(ValueError):
    """An annotation that cannot be used; the message starts with the file's path."""


@dataclass(frozen=True)
class VocObject:
    """An <object>: `number` counts from 1, `box` is xmin, ymin, xmax, ymax, 1-based as written.

    `box` is None, and `problem` says why, when it cannot be read.
    """

    number: int
    name: str
    box: Optional[tuple]
    problem: str
    difficult: bool
    truncated: bool
    pose: str

    # VOC knows no crowds, and a box' area is its size
    crowd = False
    area = None
    # whether boxes are meant to be whole numbers
    whole_numbers = True

    @property
    def subject(self):
        """How messages call the object."""
        return f"object {self.number} ({self.name or 'no name'})"

    @staticmethod
    def corners(box):
        """A box as written, from 0."""
        return tuple(value - 1 for value in box)

    @staticmethod
    def written(corners):
        """Corners from 0 as the file would say them."""
        return tuple(value + 1 for value in corners)

    @staticmethod
    def fault(box):
        """Why a finite box is none; empty when it is one."""
        xmin, ymin, xmax, ymax = box
        return "whose corners are in the wrong order" if xmax < xmin or ymax < ymin else ""


@dataclass(frozen=True)
class VocAnnotation:
    """A file: `size` is (width, height) in pixels as written, or None."""

    path: str
    size: Optional[tuple]
    objects: tuple

    @property
    def place(self):
        """How messages call the annotation."""
        return self.path


def read_annotation(path):
    """Reads a VOC annotation file; AnnotationError when it is missing or no XML."""
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


def _object(node, number):
    box, problem = _box(node.find("bndbox"))
    return VocObject(number, _text(node, "name"), box, problem,
                     difficult=_flag(node, "difficult"), truncated=_flag(node, "truncated"),
                     pose=_text(node, "pose"))


def _box(node):
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
            return None, f'has {name} "{text}", which is no number'
    return tuple(values), ""


def _size(node):
    try:
        return int(float(_text(node, "width"))), int(float(_text(node, "height")))
    except (AttributeError, ValueError, OverflowError):
        return None


def _text(node, name):
    """Stripped text of a child; empty when there is none."""
    return (node.findtext(name) or "").strip()


def _flag(node, name):
    return _text(node, name) not in ("", "0", "false", "False")
