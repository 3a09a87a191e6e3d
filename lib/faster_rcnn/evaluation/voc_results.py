"""Results files of VOC, and what a test prints and writes of them."""
import logging
import os
from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from faster_rcnn.evaluation.voc_eval import Detections, Truth, evaluate_class, read_results
from faster_rcnn.files import safe_pickle
from faster_rcnn.files.atomic import atomic_open, write_json
from faster_rcnn.files.naming import file_name

log = logging.getLogger(__name__)

OVERLAP = 0.5
# Keys of the curves in the metrics of a class, which metrics.json leaves out
CURVE = ("rec", "prec")


def class_file(template: str, name: str) -> str:
    """Path of a class's results file; template: path with {:s} for the class."""
    return template.format(file_name(name))


def write_results(template: str, classes: Sequence[str], image_ids: Sequence[str],
                  all_boxes: Sequence[Sequence[np.ndarray]]) -> None:
    """Writes a file per class, lines `image-id score xmin ymin xmax ymax`, 1-based.

    template: path with {:s} for the class; all_boxes[class][image]: (N, 5), from 0, or an empty
    list.
    """
    os.makedirs(os.path.dirname(template), exist_ok=True)
    for number, name in enumerate(classes):
        if number == 0:
            continue
        log.info("Writing %s VOC results file", name)
        with atomic_open(class_file(template, name)) as file:
            for image_id, dets in zip(image_ids, all_boxes[number]):
                dets = np.asarray(dets).reshape(-1, 5)
                file.writelines(f"{image_id} {score:.3f} {x1:.1f} {y1:.1f} {x2:.1f} {y2:.1f}\n"
                                for (x1, y1, x2, y2), score in zip((dets[:, :4] + 1).tolist(),
                                                                   dets[:, 4].tolist()))


def evaluate(imdb: Any, template: str, output_dir: str) -> dict | None:
    """Average precision per class from results files, against the annotations of a voc_imdb.

    Prints a line per class and the mean; writes <class>_pr.pkl (rec, prec, ap) and metrics.json
    to output_dir. Classes without objects in the image set are left out of the mean. Returns
    {"imdb", "metric", "overlap", "num_images", "mean_ap", "per_class": {class: {"ap", "recall",
    "num_objects", "rec" (D,), "prec" (D,)}}}, or None when the set has no annotations.
    """
    if not imdb.has_annotations:
        log.warning("%s has no annotations: results were written, but not evaluated", imdb.name)
        return None
    log.info("VOC07 metric? %s", "Yes" if imdb.card.metric == "voc07" else "No")
    checked = {image_id: objects for image_id, objects in imdb.checked_annotations().items()
               if objects is not None}
    os.makedirs(output_dir, exist_ok=True)
    per_class = {}
    for number, name in enumerate(imdb.classes):
        if number:
            detections = _of_images(read_results(class_file(template, name)), checked)
            per_class[name] = _class_metrics(detections, class_truth(checked, number),
                                             imdb.card.metric)
            curve = per_class[name]
            safe_pickle.dump({key: curve[key] for key in ("rec", "prec", "ap")},
                             os.path.join(output_dir, f"{file_name(name)}_pr.pkl"))
    metrics = {"imdb": imdb.name, "metric": imdb.card.metric, "overlap": OVERLAP,
               "num_images": len(checked), "mean_ap": _mean_ap(per_class), "per_class": per_class}
    _print(metrics)
    write_metrics(metrics, os.path.join(output_dir, "metrics.json"))
    return metrics


def class_truth(checked: dict[str, list], class_index: int) -> dict[str, Truth]:
    """{image id: Truth} of one class; boxes 1-based as in the results files."""
    truth = {}
    for image_id, objects in checked.items():
        chosen = [obj for obj in objects if obj.class_index == class_index]
        truth[image_id] = Truth(
            np.array([obj.box for obj in chosen], np.float64).reshape(-1, 4) + 1,
            np.array([obj.difficult for obj in chosen], bool))
    return truth


def _of_images(detections: Detections, image_ids: Container[str]) -> Detections:
    """The detections in these images only; others have no annotation that can be used."""
    rows = [i for i, image_id in enumerate(detections.image_ids) if image_id in image_ids]
    return Detections([detections.image_ids[i] for i in rows], detections.scores[rows],
                      detections.boxes[rows])


def _class_metrics(detections: Detections, truth: dict[str, Truth], metric: str) -> dict:
    rec, prec, ap = evaluate_class(detections, truth, OVERLAP, metric == "voc07")
    num_objects = sum(int((~objects.difficult).sum()) for objects in truth.values())
    return {"ap": ap if num_objects else float("nan"), "num_objects": num_objects,
            "recall": float(rec[-1]) if len(rec) else 0.0, "rec": rec, "prec": prec}


def _mean_ap(per_class: dict[str, dict]) -> float:
    values = [curve["ap"] for curve in per_class.values() if curve["num_objects"]]
    return float(np.mean(values)) if values else float("nan")


def _print(metrics: dict) -> None:
    """The same lines as py-faster-rcnn: scripts and people look for them."""
    for name, curve in metrics["per_class"].items():
        print(f"AP for {name} = {curve['ap']:.4f}" if curve["num_objects"]
              else f"AP for {name} = nan (no objects in {metrics['imdb']}; not in the mean)")
    print(f"Mean AP = {metrics['mean_ap']:.4f}", flush=True)
    lines = ["~~~~~~~~", "Results:"]        # the same numbers once more, for those who copy them
    lines += [f"{curve['ap']:.3f}" for curve in metrics["per_class"].values()]
    log.debug("%s", "\n".join([*lines, f"{metrics['mean_ap']:.3f}", "~~~~~~~~"]))


def write_metrics(metrics: dict, path: str) -> None:
    """Writes metrics without the curves as JSON; nan, which JSON does not have, becomes null."""
    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items() if key not in CURVE}
        return None if value != value else value
    write_json(path, plain(metrics))
