"""What is worth a look in a data set: boxes and classes that are unusual, but may be right."""
from collections import Counter
from typing import Any

from faster_rcnn.annotations.check import CheckedObject
from faster_rcnn.annotations.problems import Problem
from faster_rcnn.images.reading import image_size

TINY = "boxes with a side of 2 to 7 pixels"
WHOLE = "boxes as large as their image"
NARROW = "boxes ten times as wide as high, or as high as wide"
RARE = "classes with less than a fiftieth of the most frequent one's objects"
ABSENT = "classes without an object"
WORTH_A_LOOK = (TINY, WHOLE, NARROW, RARE, ABSENT)
TINY_SIDES, ASPECT, WHOLE_SHARE, RARE_SHARE = (2, 7), 10, 0.98, 1 / 50


def note_unusual(imdb: Any) -> list[Problem]:
    """Adds what is unusual to the notes of a card_imdb; returns boxes that are there twice."""
    problems: list[Problem] = []
    checked, counts = imdb.checked_annotations(), Counter[int]()
    for i, number in enumerate(imdb.image_index):
        objects: list[CheckedObject] = checked[number] or []
        if not objects:
            continue
        path = imdb.image_path_at(i)
        counts.update(obj.class_index for obj in objects)
        problems += _duplicates(imdb, path, objects)
        size = image_size(path)
        for obj in objects:
            for what in _unusual(obj, size):
                _note(imdb, what, path, f"{imdb.classes[obj.class_index]} {_shown(obj.box)}")
    most = max(counts.values(), default=0)
    for index, name in enumerate(imdb.classes):
        if index and most and not counts[index]:
            _note(imdb, ABSENT, name, "")
        elif index and counts[index] < RARE_SHARE * most:
            _note(imdb, RARE, f"{name} ({counts[index]})", "")
    return problems


def _duplicates(imdb: Any, path: str, objects: list[CheckedObject]) -> list[Problem]:
    counts = Counter((obj.class_index, obj.box) for obj in objects)
    return [Problem(path, "", f"has the box {_shown(box)} ({imdb.classes[index]}) {count} times",
                    "used as often") for (index, box), count in counts.items() if count > 1]


def _unusual(obj: CheckedObject, image: tuple[int, int]) -> list[str]:
    """What is unusual about a box of an image (width, height)."""
    width, height = obj.box[2] - obj.box[0] + 1, obj.box[3] - obj.box[1] + 1
    found = []
    if TINY_SIDES[0] <= min(width, height) <= TINY_SIDES[1]:
        found.append(TINY)
    if width >= WHOLE_SHARE * image[0] and height >= WHOLE_SHARE * image[1]:
        found.append(WHOLE)
    if max(width, height) >= ASPECT * min(width, height) and min(width, height) > 1:
        found.append(NARROW)
    return found


def _note(imdb: Any, what: str, path: str, subject: str) -> None:
    imdb.notes.setdefault(what, []).append((path, subject))


def _shown(box: tuple[int, int, int, int]) -> str:
    return ", ".join(map(str, box))
