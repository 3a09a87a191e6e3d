"""Detections and annotations of images, written by hand."""
from collections.abc import Sequence

import numpy as np

from faster_rcnn.datasets.imdb import AnnotatedBoxes
from faster_rcnn.evaluation.judged_images import JudgedImage, judged_images

Det = tuple[int, Sequence[float], float]        # class, box, score


def annotated(objects: Sequence[tuple[int, Sequence[float]]],
              ignored: Sequence[int] = ()) -> AnnotatedBoxes:
    """objects: (class, box) each; ignored: numbers of those that do not count."""
    return AnnotatedBoxes(np.array([box for _, box in objects], float).reshape(-1, 4),
                          np.array([number for number, _ in objects], int),
                          np.isin(np.arange(len(objects)), ignored))


def boxes_of(images: Sequence[Sequence[Det]], num_classes: int) -> list[list]:
    """all_boxes[class][image] of the detections of images."""
    return [[np.array([[*box, score] for number, box, score in dets if number == wanted],
                      np.float32).reshape(-1, 5) for dets in images]
            for wanted in range(num_classes)]


def judged(dets: Sequence[Det], objects: Sequence[tuple[int, Sequence[float]]],
           ignored: Sequence[int] = (), num_classes: int = 3) -> JudgedImage:
    """One image, judged."""
    return judged_images(boxes_of([dets], num_classes), [annotated(objects, ignored)])[0]
