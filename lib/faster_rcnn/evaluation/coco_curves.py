"""COCO's precision and recall of any data set, by class, overlap and size; pycocotools measures."""
import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from faster_rcnn.boxes.geometry import areas
from faster_rcnn.boxes.rows import xyxy_to_xywh
from faster_rcnn.evaluation.judged_images import JudgedImage

AREAS = ("all", "small", "medium", "large")     # below 32^2, below 96^2 pixels, larger


@dataclass(frozen=True)
class CocoCurves:
    """What COCO measures of K classes, without the background.

    overlaps: (T,) 0.5, 0.55 .. 0.95; recalls: (P,) 0, 0.01 .. 1; precision: (T, P, K, 4) by AREAS,
    nan where a class has no objects of that size; recall: (T, K, 4), with 100 detections per image;
    objects: (K, 4) int.
    """

    overlaps: np.ndarray
    recalls: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    objects: np.ndarray

    def ap(self, class_index: int | None = None, overlap: float | None = None,
           area: str = "all") -> float:
        """Average precision of a class (from 0; None: mean of those with objects of that size), at
        an overlap (None: mean over 0.5 .. 0.95); nan without objects.
        """
        values = self.precision[..., AREAS.index(area)]
        if class_index is not None:
            values = values[:, :, class_index]
        if overlap is not None:
            values = values[np.isclose(self.overlaps, overlap)]
        present = values[~np.isnan(values)]
        return float(present.mean()) if present.size else float("nan")


def coco_curves(images: Sequence[JudgedImage], num_classes: int) -> CocoCurves:
    """The curves of judged images; num_classes counts the background.

    Sizes are areas of boxes, also where a data set knows areas of outlines. Ignored objects are
    COCO's crowds: a detection that lies mostly in one does not count.
    """
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet):
        evaluation = COCOeval(_table(images, num_classes, _objects(images)),
                              _table(images, num_classes, _detections(images)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = (np.where(values[..., -1] < 0, np.nan, values[..., -1])
                         for values in (evaluation.eval["precision"], evaluation.eval["recall"]))
    return CocoCurves(evaluation.params.iouThrs, evaluation.params.recThrs, precision, recall,
                      _object_counts(images, num_classes, evaluation.params.areaRng))


def _objects(images: Sequence[JudgedImage]) -> list[dict]:
    return [{"image_id": image.index, "category_id": int(number), "bbox": box, "area": float(area),
             "iscrowd": int(ignored)} for image in images
            for number, box, area, ignored in zip(
                image.classes, xyxy_to_xywh(image.boxes).tolist(), areas(image.boxes),
                image.ignored)]


def _detections(images: Sequence[JudgedImage]) -> list[dict]:
    return [{"image_id": image.index, "category_id": int(number), "bbox": box, "area": float(area),
             "score": score, "iscrowd": 0} for image in images
            for number, box, area, score in zip(
                image.det_classes, xyxy_to_xywh(image.dets[:, :4]).tolist(),
                areas(image.dets[:, :4]), image.dets[:, 4].tolist())]


def _table(images: Sequence[JudgedImage], num_classes: int, annotations: list[dict]) -> COCO:
    table = COCO()
    for number, annotation in enumerate(annotations, 1):    # COCOeval takes 0 for "no match"
        annotation["id"] = number
    table.dataset = {"images": [{"id": image.index} for image in images],
                     "annotations": annotations,
                     "categories": [{"id": number} for number in range(1, num_classes)]}
    table.createIndex()
    return table


def _object_counts(images: Sequence[JudgedImage], num_classes: int,
                   ranges: Sequence[Sequence[float]]) -> np.ndarray:
    counts = np.zeros((num_classes - 1, len(ranges)), int)
    for image in images:
        sizes, classes = areas(image.boxes[~image.ignored]), image.classes[~image.ignored]
        for column, (low, high) in enumerate(ranges):
            chosen = classes[(sizes >= low) & (sizes <= high)]
            counts[:, column] += np.bincount(chosen, minlength=num_classes)[1:]
    return counts
