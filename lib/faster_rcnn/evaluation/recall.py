"""How many annotated objects candidate boxes cover: average recall (Hosang et al. 2015)."""
from collections.abc import Sequence

import numpy as np

from caffe.core.errors import InputError
from faster_rcnn.boxes.cython_bbox import bbox_overlaps

# Ranges of the annotated area in pixels, both ends included; the first four are COCO's
AREA_RANGES = {
    "all": (0, 1e10), "small": (0, 32 ** 2), "medium": (32 ** 2, 96 ** 2), "large": (96 ** 2, 1e10),
    "96-128": (96 ** 2, 128 ** 2), "128-256": (128 ** 2, 256 ** 2),
    "256-512": (256 ** 2, 512 ** 2), "512-inf": (512 ** 2, 1e10),
}


def evaluate(roidb: list[dict], candidate_boxes: Sequence[np.ndarray] | None,
             thresholds: Sequence[float] | None, area: str, limit: int | None) -> dict:
    """Recall over a roidb; see imdb.evaluate_recall. A range of areas without objects gives nan."""
    if area not in AREA_RANGES:
        raise InputError(f'unknown area range "{area}"; there are: {", ".join(AREA_RANGES)}')
    steps = np.arange(0.5, 0.95 + 1e-5, 0.05) if thresholds is None else np.asarray(thresholds)
    found, num_objects = [], 0
    for i, entry in enumerate(roidb):
        objects = _objects(entry, AREA_RANGES[area])
        num_objects += len(objects)
        candidates = (entry["boxes"][entry["gt_classes"] == 0] if candidate_boxes is None
                      else candidate_boxes[i])
        if len(candidates):
            found.append(paired_overlaps(candidates[:limit], objects))
    overlaps = np.sort(np.concatenate(found)) if found else np.zeros(0)
    with np.errstate(invalid="ignore"):
        recalls = (overlaps[:, None] >= steps).sum(axis=0) / np.float64(num_objects)
    return {"ar": recalls.mean(), "recalls": recalls, "thresholds": steps,
            "gt_overlaps": overlaps, "num_objects": num_objects}


def _objects(entry: dict, area_range: tuple[float, float]) -> np.ndarray:
    """The annotated boxes (G, 4) of an entry whose area lies in the range."""
    best = entry["gt_overlaps"].toarray().max(axis=1, initial=0)
    annotated = np.where((entry["gt_classes"] > 0) & (best == 1))[0]
    areas = entry["seg_areas"][annotated]
    return entry["boxes"][annotated[(areas >= area_range[0]) & (areas <= area_range[1])]]


def paired_overlaps(candidates: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Overlaps (G,) of the pairs of greedy matching: best pair first, each box in one pair.

    candidates: (N, 4); objects: (G, 4). Objects for which no candidate is left have 0.
    """
    overlaps = bbox_overlaps(candidates, objects)
    paired = np.zeros(len(objects))
    for _ in range(min(overlaps.shape)):
        # among equal overlaps the first object's goes first; py-faster-rcnn: evaluate_recall
        column, row = np.unravel_index(overlaps.T.argmax(), overlaps.T.shape)
        paired[column] = overlaps[row, column]
        overlaps[row, :] = -1
        overlaps[:, column] = -1
    return paired
