"""Which images and objects a report shows: the best, the worst, false alarms, missed objects."""
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from faster_rcnn.boxes.geometry import areas
from faster_rcnn.evaluation.judged_images import JudgedImage, Kind
from faster_rcnn.images.reading import image_size
from faster_rcnn.reports.html.galleries import WORDS, View, around

WHOLE_IMAGES, PARTS = 8, 12
PARTS_OF_AN_IMAGE = 2       # so that one odd image does not fill a gallery
ABOUT_OBJECTS = (Kind.DUPLICATE, Kind.WRONG_CLASS, Kind.LOCALISATION, Kind.BOTH)


@dataclass(frozen=True)
class Choice:
    """A gallery: its name in the page, heading, explanation, and what it shows."""

    name: str
    heading: str
    text: str
    views: list[View]


def choices(imdb: Any, images: Sequence[JudgedImage], names: Sequence[str],
            thresh: float) -> list[Choice]:
    """The galleries of a data set; names: of all its images; thresh: score of what is shown."""
    by_badness = sorted(images, key=lambda image: -image.badness(thresh))
    worst = [image for image in by_badness if image.badness(thresh) > 0][:WHOLE_IMAGES]
    shown = {image.index for image in worst}
    best = sorted((image for image in images if (~image.ignored).any()
                   and image.index not in shown), key=_goodness(thresh))[:WHOLE_IMAGES]
    chosen = [
        Choice("best", "Best images", "All objects found with high scores.",
               [_whole(image, names, thresh) for image in best]),
        Choice("worst", "Worst images",
               "The objects missed and the scores of false alarms add up to most.",
               [_whole(image, names, thresh) for image in worst]),
        Choice("false", "False alarms", "Detections of the highest scores that are wrong.",
               _false_parts(imdb, images, names)),
        Choice("missed", "Missed objects", "Objects that no detection finds at the score; those "
               "that none finds at any score come first, large ones before small ones.",
               _missed_parts(imdb, images, names, thresh))]
    return [choice for choice in chosen if choice.views]


def _goodness(thresh: float) -> Callable[[JudgedImage], tuple]:
    def key(image: JudgedImage) -> tuple:
        found = image.found[image.found >= thresh]
        return image.badness(thresh), -len(found), -float(found.mean()) if len(found) else 0.0
    return key


def _whole(image: JudgedImage, names: Sequence[str], thresh: float) -> View:
    missed, false = int(image.missed(thresh).sum()), int(image.false(thresh).sum())
    objects = int((~image.ignored).sum())
    caption = f"{names[image.index]}: {objects - missed} of {objects} found, {false} false"
    return View(image, caption)


def _false_parts(imdb: Any, images: Sequence[JudgedImage], names: Sequence[str]) -> list[View]:
    found = [(float(image.dets[i, 4]), image, i) for image in images
             for i in np.where(image.kinds > Kind.IGNORED)[0]]
    found.sort(key=lambda row: -row[0])
    views = []
    for score, image, i in _limited(found):
        kind = Kind(image.kinds[i])
        words = f"{imdb.classes[image.det_classes[i]]} {score:.2f}: {WORDS[kind]}"
        if kind in ABOUT_OBJECTS:
            words += f" (a {imdb.classes[image.classes[image.objects[i]]]})"
        part = around(image.dets[i, :4], image_size(imdb.image_path_at(image.index)))
        views.append(View(image, f"{names[image.index]}: {words}", part, detection=i))
    return views


def _missed_parts(imdb: Any, images: Sequence[JudgedImage], names: Sequence[str],
                  thresh: float) -> list[View]:
    missed = [((float(image.found[r]), -float(areas(image.boxes)[r])), image, r)
              for image in images for r in np.where(image.missed(thresh))[0]]
    missed.sort(key=lambda row: row[0])
    views = []
    for (score, _), image, r in _limited(missed):
        known = "at no score" if score == -np.inf else f"only with a score of {score:.2f}"
        part = around(image.boxes[r], image_size(imdb.image_path_at(image.index)))
        views.append(View(image, f"{names[image.index]}: {imdb.classes[image.classes[r]]}, "
                          f"found {known}", part, object=r))
    return views


def _limited(rows: list[tuple]) -> list[tuple]:
    """The first PARTS rows (sort key, image, number), at most PARTS_OF_AN_IMAGE of one image."""
    taken: Counter = Counter()
    kept: list[tuple] = []
    for row in rows:
        if taken[row[1].index] < PARTS_OF_AN_IMAGE and len(kept) < PARTS:
            taken[row[1].index] += 1
            kept.append(row)
    return kept
