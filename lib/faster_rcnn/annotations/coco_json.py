"""Annotation files of COCO (JSON) as objects; their boxes are checked in annotations/check.py.

A file is a mapping with the lists images (id, file_name, width, height), categories (id, name) and,
unless it is of a secret test set, annotations (image_id, category_id, bbox [x, y, width, height]
from 0, area, iscrowd). Ids are whole numbers, also when they are written 1.0 or "1". Outlines
(segmentation) are dropped while the file is read.
"""
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass

from faster_rcnn.annotations.files import (
    AnnotationError,
    OtherFormError,
    json_content,
    remembered,
)
from faster_rcnn.annotations.problems import Problem
from faster_rcnn.annotations.values import json_number, truth, whole_number

# COCO's largest annotation file has 0.5 GB; Python needs several times as much for one
MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class CocoImage:
    """An entry of images; `size` is (width, height) as written, or None."""

    id: int
    file_name: str
    size: tuple[int, int] | None


@dataclass(frozen=True)
class CocoObject:
    """An entry of annotations; `box` is x, y, width, height as written.

    `box` is None, and `problem` says why, when it cannot be read. doubt: what is wrong with
    iscrowd, or empty. area: as written, or None.
    """

    number: object
    image: CocoImage
    category_id: object
    name: str
    box: tuple[float, float, float, float] | None
    problem: str
    crowd: bool
    area: float | None
    doubt: str = ""

    # COCO marks nothing as difficult, and boxes have fractions
    difficult = False
    whole_numbers = False

    @property
    def subject(self) -> str:
        """How messages call the object."""
        return f"annotation {self.number} of {self.image.file_name} ({self.name or 'no name'})"

    @staticmethod
    def corners(box: Sequence[float]) -> tuple[float, ...]:
        """A box as written, as inclusive corners; py-faster-rcnn: coco.py."""
        x, y, width, height = box
        return x, y, x + max(0, width - 1), y + max(0, height - 1)

    @staticmethod
    def written(corners: Sequence[float]) -> tuple[float, ...]:
        """Corners as the file would say them."""
        x1, y1, x2, y2 = corners
        return x1, y1, x2 - x1 + 1, y2 - y1 + 1

    @staticmethod
    def fault(box: Sequence[float]) -> str:
        """Why finite numbers are not a box; empty when they are one."""
        return "whose width or height is not positive" if box[2] <= 0 or box[3] <= 0 else ""


@dataclass(frozen=True)
class CocoFile:
    """categories: {id: name}; images: CocoImages by id; objects: {image id: [CocoObject, ...]}, or
    None without annotations; problems: entries that were left out.
    """

    path: str
    categories: dict[int, str]
    images: dict[int, CocoImage]
    objects: dict[int, list[CocoObject]] | None
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class CocoAnnotation:
    """The objects of one image of a file, for the AnnotationChecker."""

    path: str
    image: CocoImage
    objects: tuple[CocoObject, ...]

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) of the image as written, or None."""
        return self.image.size

    @property
    def place(self) -> str:
        """How messages call the annotation."""
        return self.image.file_name


@remembered(MAX_BYTES, count=4)
def read_coco(path: str) -> CocoFile:
    """The CocoFile at a path; AnnotationError when it is missing or not of this form."""
    content = json_content(path, MAX_BYTES, object_hook=_without_outline)
    if not isinstance(content, dict):
        raise OtherFormError(f"{path}: a mapping with images, categories and annotations was "
                             f"expected; found a {type(content).__name__}")
    categories = _categories(path, _entries(path, content, "categories"))
    problems: list[Problem] = []
    images = _images(path, _entries(path, content, "images"), problems)
    objects = None
    if "annotations" in content:
        objects = _objects(path, _entries(path, content, "annotations"), images, categories,
                           problems)
    return CocoFile(path, categories, images, objects, tuple(problems))


def _without_outline(entry: dict) -> dict:
    entry.pop("segmentation", None)
    return entry


def _entries(path: str, content: dict, key: str) -> list:
    entries = content.get(key)
    if not isinstance(entries, list):
        what = f"holds {type(entries).__name__}" if key in content else "is not there"
        raise OtherFormError(f'{path}: the list "{key}" {what}; is this a COCO file of objects '
                             "(instances)?")
    return entries


def _categories(path: str, entries: list) -> dict[int, str]:
    categories, names = {}, set()
    for place, entry in enumerate(entries, 1):
        number, name = whole_number(_field(entry, "id")), _field(entry, "name")
        if number is None or not isinstance(name, str) or not name.strip():
            raise AnnotationError(f"{path}: category {place} needs an id (whole number) and a name;"
                                  f" received {_shown(entry)}")
        name = name.strip()
        if number in categories or name.lower() in names:
            raise AnnotationError(f'{path}: category {number} ("{name}") is listed twice')
        categories[number] = name
        names.add(name.lower())
    return categories


def _images(path: str, entries: list, problems: list[Problem]) -> dict[int, CocoImage]:
    images: dict[int, CocoImage] = {}
    for place, entry in enumerate(entries, 1):
        number, name = whole_number(_field(entry, "id")), _field(entry, "file_name")
        if number is None or not isinstance(name, str) or not name:
            problems.append(Problem(path, f"entry {place} of images", "has no id (whole number) or "
                                    f"no file_name: {_shown(entry)}", "left out"))
        elif number in images:
            problems.append(Problem(path, f"image {number} ({name})", "has the id of "
                                    f"{images[number].file_name}", "left out"))
        else:
            width, height = (whole_number(entry.get(key)) for key in ("width", "height"))
            size = None if width is None or height is None else (width, height)
            images[number] = CocoImage(number, name, size)
    return images


def _objects(path: str, entries: list, images: dict[int, CocoImage], categories: dict[int, str],
             problems: list[Problem]) -> dict[int, list[CocoObject]]:
    objects: dict[int, list[CocoObject]] = {number: [] for number in images}
    seen = set()
    for place, entry in enumerate(entries, 1):
        number, image = _field(entry, "id"), whole_number(_field(entry, "image_id"))
        subject = f"annotation {place if number is None else _shown(number)}"
        if image not in images:
            listed = _field(entry, "image_id")
            problems.append(Problem(path, subject, f"is of image {_shown(listed)}, which is not "
                                    f"listed{'' if image is not None else ' (no whole number)'}",
                                    "skipped"))
            continue
        number = whole_number(number)
        if number is not None and number in seen:
            problems.append(Problem(path, subject, f"of {images[image].file_name} has the id of "
                                    "another annotation", "used nevertheless"))
        seen.add(number)
        objects[image].append(_object(entry, place if number is None else number, images[image],
                                      categories))
    return objects


def _object(entry: dict, number: object, image: CocoImage,
            categories: dict[int, str]) -> CocoObject:
    category = whole_number(entry.get("category_id"))
    name = categories.get(category, "") if category is not None else ""
    name = name or f"category {_shown(entry.get('category_id'))}"
    box, problem = _box(entry.get("bbox"))
    area, crowd = json_number(entry.get("area")), entry.get("iscrowd")
    doubt = "" if truth(crowd) is not None else f"has iscrowd {_shown(crowd)}, neither yes nor no"
    return CocoObject(number, image, category, name, box, problem, bool(truth(crowd)),
                      area if area is not None and area > 0 else None, doubt)


def _box(value: object) -> tuple[tuple | None, str]:
    """(four floats, "") or (None, what is wrong)."""
    if value is None:
        return None, "has no bbox"
    numbers = list(map(json_number, value)) if isinstance(value, list) else []
    if len(numbers) != 4 or None in numbers:
        return None, f"has the bbox {_shown(value)}, which is not four numbers"
    return tuple(numbers), ""


def _field(entry: object, key: str) -> object:
    return entry.get(key) if isinstance(entry, dict) else None


def _shown(value: object) -> str:
    """A value of the file in messages, not too long."""
    return reprlib.repr(value)
