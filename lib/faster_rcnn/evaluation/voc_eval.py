"""Average precision as PASCAL VOC defines it (Everingham et al. 2010, section 4.2).

Boxes are xmin, ymin, xmax, ymax, 1-based inclusive pixels as in VOC files; D detections of a
class, R objects in an image.
"""
from collections.abc import Sequence
from dataclasses import dataclass
from reprlib import repr as shown

import numpy as np

from caffe.core.errors import UserError
from faster_rcnn.annotations.values import as_number
from faster_rcnn.annotations.voc_xml import AnnotationError, VocObject, read_annotation
from faster_rcnn.boxes.cython_bbox import bbox_overlaps
from faster_rcnn.files.reading import read_text


class ResultsError(UserError, ValueError):
    """A results file that cannot be read; the message starts with file and line."""


@dataclass(frozen=True)
class Truth:
    """The objects of one class in one image: boxes (R, 4) float64, difficult (R,) bool."""

    boxes: np.ndarray
    difficult: np.ndarray


@dataclass(frozen=True)
class Detections:
    """All detections of a class: D image ids (a list), scores (D,), boxes (D, 4) float64."""

    image_ids: list
    scores: np.ndarray
    boxes: np.ndarray

    def by_score(self) -> "Detections":
        """The same in descending order of score; equal scores keep their order."""
        order = np.argsort(-self.scores, kind="stable")
        return Detections([self.image_ids[i] for i in order], self.scores[order],
                          self.boxes[order])


def voc_ap(rec: Sequence[float] | np.ndarray, prec: Sequence[float] | np.ndarray,
           use_07_metric: bool = False) -> float:
    """Average precision of a curve: recall (D,) and precision (D,) in descending order of score.

    use_07_metric: mean of the best precision at recalls of at least 0, 0.1 .. 1 (VOC until 2009),
    otherwise the area under the precision made monotonic.
    """
    rec, prec = np.asarray(rec, np.float64), np.asarray(prec, np.float64)
    if use_07_metric:
        # py-faster-rcnn: with arange's floats a recall of exactly 3/10 misses the fourth step
        return float(sum(prec[rec >= t].max(initial=0.0) / 11 for t in np.arange(0, 1.1, 0.1)))
    recalls = np.concatenate(([0.0], rec, [1.0]))
    best = np.maximum.accumulate(np.concatenate(([0.0], prec, [0.0]))[::-1])[::-1]
    steps = np.where(recalls[1:] != recalls[:-1])[0]
    return float(np.sum((recalls[steps + 1] - recalls[steps]) * best[steps + 1]))


def match_detections(detections: Detections, truth: dict,
                     ovthresh: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Marks detections, given in descending order of score, as right (D,) bool, wrong (D,) bool.

    truth: {image id: Truth}. A detection belongs to the object it overlaps most. It is right when
    that overlap is above ovthresh and no earlier one took the object, neither right nor wrong
    when the object is difficult, and wrong otherwise.
    """
    best_object, best_overlap = best_objects(detections, truth)
    right = np.zeros(len(detections.scores), bool)
    wrong = np.ones(len(detections.scores), bool)
    taken = set()
    for i in np.where(best_overlap > ovthresh)[0]:
        key = detections.image_ids[i], best_object[i]
        if truth[key[0]].difficult[key[1]]:
            wrong[i] = False
        elif key not in taken:
            taken.add(key)
            right[i], wrong[i] = True, False
    return right, wrong


def best_objects(detections: Detections, truth: dict) -> tuple[np.ndarray, np.ndarray]:
    """The object that each detection overlaps most (D,) and the overlap (D,), -inf without objects.
    """
    rows: dict[object, list[int]] = {}
    for i, image_id in enumerate(detections.image_ids):
        rows.setdefault(image_id, []).append(i)
    best_object = np.zeros(len(detections.scores), int)
    best_overlap = np.full(len(detections.scores), -np.inf)
    for image_id, indices in rows.items():
        objects = truth.get(image_id)
        if objects is not None and len(objects.boxes):
            overlaps = bbox_overlaps(detections.boxes[indices], objects.boxes)
            best_object[indices] = overlaps.argmax(axis=1)
            best_overlap[indices] = overlaps.max(axis=1)
    return best_object, best_overlap


def evaluate_class(detections: Detections, truth: dict, ovthresh: float = 0.5,
                   use_07_metric: bool = False) -> tuple[np.ndarray, np.ndarray, float]:
    """Recall (D,), precision (D,) in descending order of score, and average precision of one class.

    Without objects that count the recall is nan, as in py-faster-rcnn: voc_eval.py.
    """
    right, wrong = match_detections(detections.by_score(), truth, ovthresh)
    num_objects = sum(int((~objects.difficult).sum()) for objects in truth.values())
    right, wrong = np.cumsum(right), np.cumsum(wrong)
    with np.errstate(divide="ignore", invalid="ignore"):
        rec = right / np.float64(num_objects)
    prec = right / np.maximum(right + wrong, np.finfo(np.float64).eps)
    return rec, prec, voc_ap(rec, prec, use_07_metric)


def parse_rec(filename: str) -> list[dict]:
    """A VOC file's objects: dicts of name, pose, truncated, difficult, bbox (4 ints, 1-based)."""
    return [{"name": obj.name, "pose": obj.pose, "truncated": int(obj.truncated),
             "difficult": int(obj.difficult), "bbox": _whole(obj, filename)}
            for obj in read_annotation(filename).objects]


def _whole(obj: VocObject, filename: str) -> list[int]:
    if obj.box is None or not np.isfinite(obj.box).all():
        raise AnnotationError(f"{filename}: object {obj.number} ({obj.name}) "
                              f"{obj.problem or 'has a box that is not finite'}")
    return [int(value) for value in obj.box]


def read_results(path: str) -> Detections:
    """The Detections in a VOC results file, lines `image-id score xmin ymin xmax ymax`.

    Raises ResultsError for other lines, FileError or EncodingError for other files.
    """
    image_ids, numbers = [], []
    lines = read_text(path).removesuffix("\n")
    for i, line in enumerate(lines.split("\n") if lines else (), 1):
        image_id, *words = line.strip().rsplit(" ", 5)      # an id may hold blanks
        row = [as_number(word) for word in words]
        if len(row) != 5 or None in row:
            raise ResultsError(f"{path}:{i}: a line must read: image-id score xmin ymin xmax ymax; "
                               f"found {shown(line.strip())}")
        image_ids.append(image_id)
        numbers.append(row)
    table = np.array(numbers, np.float64).reshape(-1, 5)
    return Detections(image_ids, table[:, 0], table[:, 1:])


def voc_eval(detpath: str, annopath: str, imagesetfile: str, classname: str,
             cachedir: str | None = None, ovthresh: float = 0.5,
             use_07_metric: bool = False) -> tuple[np.ndarray, np.ndarray, float]:
    """Evaluates a class from files: recall (D,), precision (D,), average precision.

    detpath.format(classname) is a results file, annopath.format(image id) an annotation,
    imagesetfile the list of image ids. cachedir is accepted for old callers; nothing is cached.
    """
    image_ids = [line.strip() for line in read_text(imagesetfile).split("\n") if line.strip()]
    truth = {}
    for image_id in image_ids:
        objects = [obj for obj in parse_rec(annopath.format(image_id))
                   if obj["name"] == classname]
        truth[image_id] = Truth(
            np.array([obj["bbox"] for obj in objects], np.float64).reshape(-1, 4),
            np.array([obj["difficult"] for obj in objects], bool))
    return evaluate_class(read_results(detpath.format(classname)), truth, ovthresh, use_07_metric)
