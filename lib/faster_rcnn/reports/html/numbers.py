"""The tables and charts of a report's page, computed from judged images."""
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from faster_rcnn.evaluation.coco_curves import AREAS, CocoCurves, coco_curves
from faster_rcnn.evaluation.confusion import confusion_matrix
from faster_rcnn.evaluation.error_kinds import error_costs, error_counts
from faster_rcnn.evaluation.judged_images import JudgedImage
from faster_rcnn.evaluation.score_thresholds import AtScore, at_scores, best_score, scored
from faster_rcnn.reports.html.charts import Chart, Line, line_chart

SLIDER_STEPS = 100
ERRORS = {
    "background": ("Background", "overlaps no object, or by less than 0.1"),
    "localisation": ("Localisation", "right class, overlap with its object 0.1 to 0.5"),
    "wrong_class": ("Wrong class", "overlaps an object of another class by more than 0.5"),
    "both": ("Class and place", "overlaps an object of another class, by 0.1 to 0.5"),
    "duplicate": ("Duplicate", "a better detection has found the object already"),
    "missed": ("Missed", "an object that nothing finds, and no error of class or place is about"),
}


@dataclass(frozen=True)
class ClassRow:
    """A class: AP as the data set measures it and as COCO does (nan: no objects), its objects, the
    score with the best F1 (None: nothing is right), and its curves.
    """

    name: str
    ap: float
    ap50: float
    ap75: float
    ap_mean: float
    sizes: list[tuple[float, int]]      # (AP, objects) of small, medium, large
    objects: int
    best: AtScore | None
    chart: Chart


@dataclass(frozen=True)
class ErrorRow:
    """A kind of error: name, explanation, how often, what the mean AP would gain without it."""

    name: str
    text: str
    count: int
    cost: float


@dataclass(frozen=True)
class Numbers:
    """All numbers of the page. slider: an AtScore per step of the slider, which goes from 0 to
    the largest score, and at least to 1; confusion: rows are annotated."""

    classes: list[ClassRow]
    ap50: float
    ap_mean: float
    sizes: list[tuple[str, float, float, int]]      # name, AP, AP at 0.5, objects
    errors: list[ErrorRow]
    confusion: np.ndarray
    slider: list[AtScore]
    best: AtScore | None


def numbers(images: Sequence[JudgedImage], classes: Sequence[str], metrics: dict,
            thresh: float) -> Numbers:
    """The numbers of judged images; classes: with the background; thresh: a score for counts."""
    curves = coco_curves(images, len(classes))
    rows = [_class_row(images, curves, metrics, name, number)
            for number, name in enumerate(classes) if number]
    everything = scored(images, None)
    return Numbers(
        rows, curves.ap(overlap=0.5), curves.ap(),
        [(area, curves.ap(area=area), curves.ap(overlap=0.5, area=area),
          int(curves.objects[:, AREAS.index(area)].sum())) for area in AREAS[1:]],
        _error_rows(images, len(classes), thresh), confusion_matrix(images, len(classes), thresh),
        at_scores(*everything, _slider_scores(everything[0])), best_score(*everything))


def _slider_scores(scores: np.ndarray) -> np.ndarray:
    """Probabilities end at 1, distances to a plane (TEST.SVM) anywhere."""
    return np.linspace(0, max(1.0, float(np.ceil(scores.max(initial=0)))), SLIDER_STEPS + 1)


def _class_row(images: Sequence[JudgedImage], curves: CocoCurves, metrics: dict, name: str,
               number: int) -> ClassRow:
    best = best_score(*scored(images, number))
    sizes = [(curves.ap(number - 1, area=area), int(curves.objects[number - 1, i]))
             for i, area in enumerate(AREAS) if i]
    return ClassRow(name, float(metrics["per_class"][name]["ap"]), curves.ap(number - 1, 0.5),
                    curves.ap(number - 1, 0.75), curves.ap(number - 1), sizes,
                    int(curves.objects[number - 1, 0]), best, _curve(curves, name, number, best))


def _curve(curves: CocoCurves, name: str, number: int, best: AtScore | None) -> Chart:
    precision = curves.precision[:, :, number - 1, 0]
    lines = [Line("IoU 0.5:0.95, mean", curves.recalls, precision.mean(axis=0), "area"),
             Line("IoU 0.75", curves.recalls, precision[5], "second"),
             Line("IoU 0.5", curves.recalls, precision[0])]
    spot = None if best is None else (best.recall, best.precision,
                                      f"best F1 {best.f1:.2f} at score {best.score:.2f}")
    return line_chart(name, ("recall", "precision"), lines, ((0.0, 1.0), (0.0, 1.0)), spot)


def _error_rows(images: Sequence[JudgedImage], num_classes: int, thresh: float) -> list[ErrorRow]:
    counts, costs = error_counts(images, num_classes, thresh), error_costs(images, num_classes)
    rows = [ErrorRow(*words, int(counts[kind].sum()), costs[kind])
            for kind, words in ERRORS.items()]
    return sorted(rows, key=lambda row: -(row.cost if row.cost == row.cost else 0))


def confusions(matrix: np.ndarray, classes: Sequence[str],
               most: int = 8) -> list[tuple[str, str, int]]:
    """(annotated, detected, how often) of the classes that are most often confused."""
    wrong: Any = matrix.copy()
    wrong[0, :], wrong[:, 0] = 0, 0
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(flat), len(classes)) for flat in order]
    return [(classes[row], classes[column], int(wrong[row, column]))
            for row, column in pairs if wrong[row, column]]
