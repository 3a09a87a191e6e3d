"""What the readers of files with many pictures return, and what they share."""
from dataclasses import dataclass, field

from faster_rcnn.annotations.box_objects import Box, BoxAnnotation, BoxObject, bounding_box
from faster_rcnn.annotations.files import MAX_OBJECTS, AnnotationError
from faster_rcnn.annotations.values import as_number, json_number

# A JSON file with the pictures inside may be large
MAX_BYTES = 512 << 20


@dataclass
class ImageTable:
    """annotations: by the image's name as written; notes: sentences about what is left out."""

    path: str
    annotations: dict[str, BoxAnnotation] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, size: tuple[int, int] | None, objects: list[BoxObject]) -> None:
        """Adds the objects of an image; those of an image that was named before join them."""
        earlier = self.annotations.get(name)
        joined = (*(earlier.objects if earlier else ()), *objects)
        if len(joined) > MAX_OBJECTS:
            raise AnnotationError(f"{self.path}: more than {MAX_OBJECTS} objects in the image "
                                  f"{name}, which is the limit")
        self.annotations[name] = BoxAnnotation(self.path, name, size, joined)


def number(value: object) -> float | None:
    """A number of JSON, or a text that is one, as a float; None for others."""
    return as_number(value) if isinstance(value, str) else json_number(value)


def numbers(entry: object, keys: tuple[str, ...]) -> list[float] | None:
    """The numbers of a mapping's keys; None when one of them is missing or no number."""
    values = [number(entry.get(key)) for key in keys] if isinstance(entry, dict) else [None]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def box_around(xs: object, ys: object) -> Box | None:
    """The box around points with lists of coordinates; None when they cannot be read."""
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys) or len(xs) < 2:
        return None
    points = [(x, y) for x, y in zip(map(number, xs), map(number, ys))
              if x is not None and y is not None]
    return bounding_box(points) if len(points) == len(xs) else None


def as_list(value: object) -> list:
    """A list of JSON; an empty one for other values."""
    return value if isinstance(value, list) else []


def texts_of(value: object) -> list[str]:
    """The texts that a value says: itself, those of a list, or the keys of a mapping that are on.
    """
    if isinstance(value, dict):
        value = [key for key, is_on in value.items() if is_on]
    values = value if isinstance(value, list) else [value]
    return [str(text).strip() for text in values
            if isinstance(text, (str, int, float)) and str(text).strip()]
