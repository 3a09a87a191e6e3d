"""Results files of COCO, and what a test prints and writes of them; pycocotools measures."""
import contextlib
import io
import json
import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from faster_rcnn.boxes.rows import xyxy_to_xywh
from faster_rcnn.evaluation.voc_results import write_metrics
from faster_rcnn.files import safe_pickle
from faster_rcnn.files.atomic import atomic_open

log = logging.getLogger(__name__)

# COCOeval.stats, in order
SUMMARY = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR_1", "AR_10", "AR_100",
           "AR_small", "AR_medium", "AR_large")
ALL_AREAS, MOST_DETECTIONS = 0, -1


def detections(all_boxes: Sequence[Sequence[np.ndarray]], image_ids: Sequence,
               category_ids: dict[int, int]) -> list[dict]:
    """COCO's list of detections, dictionaries with image_id, category_id, bbox, score.

    all_boxes[class][image]: (N, 5), from 0, inclusive, or an empty list; category_ids: {class:
    COCO's id}; detections of other classes are left out.
    """
    found = []
    for class_index, category in sorted(category_ids.items()):
        for image_id, dets in zip(image_ids, all_boxes[class_index]):
            dets = np.asarray(dets, np.float64).reshape(-1, 5)
            found += [{"image_id": image_id, "category_id": category, "bbox": box, "score": score}
                      for box, score in zip(xyxy_to_xywh(dets[:, :4]).tolist(),
                                            dets[:, 4].tolist())]
    return found


def write_results(path: str, results: list[dict]) -> None:
    """Writes the list of detections, as COCO's server takes it."""
    log.info("Writing results json to %s", path)
    with atomic_open(path) as file:
        json.dump(results, file)


def evaluate(imdb: Any, results: list[dict], output_dir: str) -> dict | None:
    """COCO's metrics of detections, against the annotations of a coco_imdb.

    Prints the mean and per-category AP in percent and COCOeval's summary; writes
    detection_results.pkl (precision, recall, scores and the thresholds they are for) and
    metrics.json to output_dir. Returns {"imdb", "metric", "overlap", "num_images", "mean_ap",
    "summary": {name: value, see SUMMARY}, "per_class": {class: {"ap" (mean over the overlaps),
    "recall", "num_objects", "rec" (D,), "prec" (D,), both at overlap 0.5}}}, or None when there
    are no annotations.
    """
    if not imdb.has_annotations:
        log.warning("%s has no annotations: results were written, but not evaluated", imdb.name)
        return None
    objects = imdb.annotated_objects()
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet):
        evaluation = COCOeval(_truth(imdb, objects), _found(imdb, results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    per_class = {name: _class_metrics(evaluation, number, objects)
                 for number, name in enumerate(imdb.classes) if number}
    _print(evaluation, per_class)
    path = os.path.join(output_dir, "detection_results.pkl")
    safe_pickle.dump({**{key: evaluation.eval[key] for key in ("precision", "recall", "scores")},
                      "iou_thresholds": evaluation.params.iouThrs,
                      "recall_thresholds": evaluation.params.recThrs}, path)
    log.info("Wrote COCO eval results to: %s", path)
    summary = {name: _present(value) for name, value in zip(SUMMARY, evaluation.stats.tolist())}
    metrics = {"imdb": imdb.name, "metric": "coco", "overlap": "0.50:0.95",
               "num_images": imdb.num_images, "mean_ap": summary["AP"], "summary": summary,
               "per_class": per_class}
    write_metrics(metrics, os.path.join(output_dir, "metrics.json"))
    return metrics


def _truth(imdb: Any, objects: list[tuple]) -> COCO:
    # numbered from 1, as COCOeval takes the id 0 for "no match"; its classes are ours
    return _indexed(imdb, [
        {"id": i + 1, "image_id": obj.image.id, "category_id": number, "bbox": list(obj.box),
         "area": obj.box[2] * obj.box[3] if obj.area is None else obj.area,
         "iscrowd": int(obj.crowd)} for i, (number, obj) in enumerate(objects)])


def _found(imdb: Any, results: list[dict]) -> COCO:
    class_of = {category: number for number, category in imdb.category_ids.items()}
    return _indexed(imdb, [
        {"id": i + 1, "image_id": det["image_id"], "category_id": class_of[det["category_id"]],
         "bbox": det["bbox"], "score": det["score"], "area": det["bbox"][2] * det["bbox"][3],
         "iscrowd": 0} for i, det in enumerate(results)])


def _indexed(imdb: Any, annotations: list[dict]) -> COCO:
    table = COCO()
    table.dataset = {
        "images": [{"id": number} for number in imdb.image_index], "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in enumerate(imdb.classes) if i]}
    table.createIndex()
    return table


def _class_metrics(evaluation: COCOeval, number: int, objects: list[tuple]) -> dict:
    """The metrics of a class; its index among COCOeval's categories is its number minus 1."""
    values = evaluation.eval["precision"][:, :, number - 1, ALL_AREAS, MOST_DETECTIONS]
    recall = evaluation.eval["recall"][0, number - 1, ALL_AREAS, MOST_DETECTIONS]
    usable = values[0] > -1
    return {"ap": float(values[values > -1].mean()) if (values > -1).any() else float("nan"),
            "num_objects": sum(index == number and not obj.crowd for index, obj in objects),
            "recall": max(float(recall), 0.0), "rec": evaluation.params.recThrs[usable],
            "prec": values[0][usable]}


def _print(evaluation: COCOeval, per_class: dict[str, dict]) -> None:
    """The same lines as py-faster-rcnn: scripts and people look for them."""
    low, high = evaluation.params.iouThrs[[0, -1]]
    precision = evaluation.eval["precision"][:, :, :, ALL_AREAS, MOST_DETECTIONS]
    present = precision[precision > -1]
    mean = present.mean() if present.size else float("nan")
    print(f"~~~~ Mean and per-category AP @ IoU=[{low:.2f},{high:.2f}] ~~~~")
    print("\n".join(f"{100 * ap:.1f}" for ap in
                    (mean, *(curve["ap"] for curve in per_class.values()))))
    print("~~~~ Summary metrics ~~~~")
    evaluation.summarize()


def _present(value: float) -> float:
    """nan for COCOeval's -1, which means that there are no objects."""
    return value if value > -1 else float("nan")
