"""The check of a data set: everything that is wrong with it, and what is in it."""
import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from faster_rcnn.annotations.check import ONE_PIXEL, TURNED
from faster_rcnn.annotations.problems import Problem
from faster_rcnn.evaluation.recall import AREA_RANGES
from faster_rcnn.files.read_ahead import read_ahead
from faster_rcnn.images.reading import ImageError, image_size, read_image

QUANTILES = {"smallest": 0, "5%": 0.05, "median": 0.5, "95%": 0.95, "largest": 1}
# Unusual facts that are rarely intended: the note of each, and its words
SUSPICIOUS = {TURNED: "is to be shown turned (EXIF orientation); boxes must be for the pixels as "
                      "they are stored", ONE_PIXEL: "is a box one pixel wide or high"}


def lenient(card: Any) -> Any:
    """The Card with nothing an error, so that everything that is wrong is found."""
    on_bad_box = "skip" if card.on_bad_box == "error" else card.on_bad_box
    return dataclasses.replace(card, on_bad_box=on_bad_box, on_unknown_class="skip",
                               on_bad_annotation="skip", on_bad_image="skip")


def find_problems(imdb: Any, decode: bool = True) -> list[Problem]:
    """All Problems of a card_imdb, each once, and what is suspicious.

    decode: every image is decoded as well.
    """
    imdb.checked_annotations()
    problems = list(dict.fromkeys(imdb.problems))
    problems += [Problem(path, subject, rule, "used as it is")
                 for what, rule in SUSPICIOUS.items() for path, subject in imdb.notes.get(what, ())]
    if decode:
        paths = [imdb.image_path_at(i) for i in range(imdb.num_images)]
        problems += [problem for problem in read_ahead(_decoding_problem, paths)
                     if problem is not None]
    return problems


def _decoding_problem(path: str) -> Problem | None:
    try:
        shape = read_image(path).shape[:2]
    except (ImageError, cv2.error):
        return Problem(path, "", "has a good header, but cannot be decoded",
                       "training will stop at it")
    width, height = image_size(path)
    if shape != (height, width):
        return Problem(path, "", f"says {width} x {height} pixels, but holds {shape[1]} x "
                       f"{shape[0]}", "training will stop at it")
    return None


def statistics(imdb: Any) -> dict:
    """What is in a card_imdb, as a dictionary that JSON can hold.

    Boxes are in pixels of the images; ratios are heights over widths; a size is the square root of
    an area. `usable` images are those whose annotation can be used.
    """
    checked = [(i, imdb.checked_annotations()[number]) for i, number in enumerate(imdb.image_index)]
    usable = [(i, objects) for i, objects in checked if objects is not None]
    objects = [obj for _, objects in usable for obj in objects]
    sizes = np.array([image_size(imdb.image_path_at(i)) for i, _ in usable]).reshape(-1, 2)
    boxes = np.array([obj.box for obj in objects], np.float64).reshape(-1, 4)
    widths, heights = boxes[:, 2] - boxes[:, 0] + 1, boxes[:, 3] - boxes[:, 1] + 1
    counts = [len(objects) for _, objects in usable]
    per_class = {name: _class_statistics(number, usable)
                 for number, name in enumerate(imdb.classes) if number}
    present = [entry["objects"] for entry in per_class.values() if entry["objects"]]
    common = collections.Counter(map(tuple, sizes.tolist())).most_common(3)
    return {
        "name": imdb.name, "images": imdb.num_images, "usable": len(usable),
        "without_objects": counts.count(0), "objects": len(objects), "per_class": per_class,
        "most_over_least_frequent": max(present) / min(present) if present else None,
        "widths": _quantiles(sizes[:, 0]), "heights": _quantiles(sizes[:, 1]),
        "common_sizes": [[f"{width} x {height}", count] for (width, height), count in common],
        "objects_per_image": _quantiles(np.array(counts)),
        "box_widths": _quantiles(widths), "box_heights": _quantiles(heights),
        "box_sizes": _quantiles(np.sqrt(widths * heights)), "box_ratios": _quantiles(
            heights / widths),
        "by_area": {name: int(((widths * heights >= low) & (widths * heights < high)).sum())
                    for name, (low, high) in list(AREA_RANGES.items())[1:4]}}


def _class_statistics(number: int, usable: list[tuple]) -> dict:
    objects = [(i, obj) for i, objects in usable for obj in objects
               if obj.class_index == number]
    return {"objects": len(objects), "images": len({i for i, _ in objects}),
            "difficult": sum(obj.difficult for _, obj in objects),
            "crowd": sum(obj.crowd for _, obj in objects)}


def _quantiles(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    if not len(values):
        return {}
    return {name: float(np.quantile(values, share)) for name, share in QUANTILES.items()}
