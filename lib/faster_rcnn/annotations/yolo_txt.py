"""Label files of YOLO: a text file per image, a line per object.

    class x_centre y_centre width height            in widths and heights of the image
    class x1 y1 x2 y2 x3 y3 ...                     an outline (segmentation), taken as its box

Classes are numbers from 0. An image without a label file has no objects.
"""
from collections.abc import Sequence

from faster_rcnn.annotations.box_objects import (
    BoxAnnotation,
    NormalisedObject,
    bounding_box,
)
from faster_rcnn.annotations.files import MAX_OBJECTS, AnnotationError, annotation_text
from faster_rcnn.annotations.values import as_number, whole_number

MAX_BYTES = 64 << 20


def read_yolo(path: str, size: tuple[int, int], names: Sequence[str]) -> BoxAnnotation:
    """The annotation in a label file; size: (width, height) of its image; names: of the classes.

    AnnotationError for a file that cannot be read, or with more than MAX_OBJECTS lines.
    """
    lines = annotation_text(path, MAX_BYTES).split("\n")
    filled = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]
    if len(filled) > MAX_OBJECTS:
        raise AnnotationError(f"{path}: more than {MAX_OBJECTS} objects in an image, which is the "
                              "limit")
    return BoxAnnotation(path, path, None, tuple(
        _object(number, words, size, names) for number, words in filled))


def class_name(text: str, names: Sequence[str]) -> str:
    """The name of a class's number, or words that are no name."""
    number = as_number(text)
    index = None if number is None else whole_number(number)
    if index is None or not 0 <= index < len(names):
        return f"number {text}"
    return names[index]


def _object(number: int, words: Sequence[str], size: tuple[int, int],
            names: Sequence[str]) -> NormalisedObject:
    box, problem = _box(words[1:])
    return NormalisedObject(f"line {number}", class_name(words[0], names), box, problem,
                            image_size=size)


def _box(words: Sequence[str]) -> tuple[tuple[float, float, float, float] | None, str]:
    """(x, y, width, height), "") or (None, what is wrong)."""
    values = [as_number(word) for word in words]
    if None in values:
        word = words[values.index(None)]
        return None, f'has the value "{word[:20]}", which is not a number'
    numbers = [value for value in values if value is not None]
    if len(numbers) == 4:
        return (numbers[0], numbers[1], numbers[2], numbers[3]), ""
    if len(numbers) < 6 or len(numbers) % 2:
        return None, (f"has {len(words)} numbers behind the class; a box has 4, an outline a pair "
                      "for each of three or more points")
    x1, y1, x2, y2 = bounding_box(list(zip(numbers[::2], numbers[1::2])))
    return ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1), ""
