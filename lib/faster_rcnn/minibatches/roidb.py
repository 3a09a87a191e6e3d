"""What training adds to a roidb (its form: datasets/imdb.py): images, best classes, regression
targets.
"""
import logging
from typing import Any

import numpy as np

from caffe.core.errors import InputError
from faster_rcnn.images.augment import turned_words
from faster_rcnn.images.reading import image_size
from faster_rcnn.minibatches.bbox_targets import (
    Statistics,
    as_one_class,
    compute_targets,
    normalize,
    target_statistics,
)
from faster_rcnn.settings.config import cfg

log = logging.getLogger(__name__)


def prepare_roidb(imdb: Any) -> None:
    """Adds image (path), width, height, max_overlaps (R,) and max_classes (R,) to every entry.

    Raises ValueError, naming the image, for boxes that cannot be trained on.
    """
    imdb.clamp_boxes()
    sizes = {}
    roidb = imdb.roidb
    for i, entry in enumerate(roidb):
        path = imdb.image_path_at(i)
        if path not in sizes:
            sizes[path] = image_size(path)
        entry["image"] = path
        entry["width"], entry["height"] = sizes[path][::-1 if entry.get("transposed") else 1]
        overlaps = entry["gt_overlaps"].toarray()
        entry["max_overlaps"] = overlaps.max(axis=1)
        entry["max_classes"] = overlaps.argmax(axis=1)
        _check(entry)


def log_statistics(imdb: Any) -> None:
    """Logs how many annotated boxes each class has, and warns of classes without any."""
    counts = np.zeros(imdb.num_classes, int)
    for entry in imdb.roidb:
        counts += np.bincount(entry["gt_classes"], minlength=imdb.num_classes)
    per_class = list(zip(imdb.classes[1:], counts[1:]))
    log.info("%s: %d images, annotated boxes: %s", imdb.name, imdb.num_images,
             ", ".join(f"{name} {count}" for name, count in per_class))
    absent = [name for name, count in per_class if not count]
    if absent:
        log.warning("%s: no boxes of class %s, which cannot be learned", imdb.name,
                    ", ".join(absent))


def _check(entry: dict[str, Any]) -> None:
    boxes = np.asarray(entry["boxes"], np.float64)
    size = np.array([entry["width"], entry["height"]])
    bad = ~np.isfinite(boxes).all(axis=1) | (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    annotated = entry["gt_classes"] > 0
    bad |= annotated & ((boxes[:, :2] < 0).any(axis=1) | (boxes[:, 2:] >= size).any(axis=1))
    if bad.any():
        row = int(bad.argmax())
        raise InputError(f"{entry['image']}: box {row + 1} {entry['boxes'][row].tolist()} cannot "
                         f"be used in an image of {size[0]} x {size[1]} pixels"
                         f"{turned_words(entry)}")
    if ((entry["max_overlaps"] > 0) & (entry["max_classes"] == 0)).any():
        raise InputError(f"{entry['image']}: a box overlaps the background class; gt_overlaps must "
                         "be 0 in column 0")


def add_bbox_regression_targets(roidb: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Adds bbox_targets (R, 5) float32, class and normalised targets, to the entries of a
    prepared roidb.

    With TRAIN.AGNOSTIC all classes but the background count as class 1, and K is 2.
    Returns the means and standard deviations (4 K,) that the targets were normalised by (not, when
    TRAIN.BBOX_NORMALIZE_TARGETS is off): measured ones, or the configured ones.
    """
    if not roidb:
        raise InputError("there are no images to train on")
    if "max_classes" not in roidb[0]:
        raise ValueError("the roidb is not prepared: call prepare_roidb first")
    for entry in roidb:
        entry["bbox_targets"] = compute_targets(entry["boxes"], entry["max_overlaps"],
                                                entry["max_classes"], cfg.TRAIN.BBOX_THRESH)
        if cfg.TRAIN.AGNOSTIC:
            as_one_class(entry["bbox_targets"])
    num_classes = 2 if cfg.TRAIN.AGNOSTIC else roidb[0]["gt_overlaps"].shape[1]
    if cfg.TRAIN.BBOX_NORMALIZE_TARGETS_PRECOMPUTED:
        means = np.tile(np.array(cfg.TRAIN.BBOX_NORMALIZE_MEANS, np.float64), (num_classes, 1))
        stds = np.tile(np.array(cfg.TRAIN.BBOX_NORMALIZE_STDS, np.float64), (num_classes, 1))
    else:
        statistics = target_statistics([entry["bbox_targets"] for entry in roidb], num_classes)
        means, stds = statistics.means, _usable_stds(statistics)
    log.debug("bbox target means:\n%s\nbbox target stdevs:\n%s", means, stds)
    if cfg.TRAIN.BBOX_NORMALIZE_TARGETS:
        log.debug("Normalizing targets")
        for entry in roidb:
            normalize(entry["bbox_targets"], means, stds)
    return means.ravel(), stds.ravel()


def _usable_stds(statistics: Statistics) -> np.ndarray:
    """The standard deviations; 1 where a class has boxes that do not vary: 0 cannot divide."""
    flat = (statistics.stds == 0) & (statistics.counts > 0)[:, None]
    if flat.any():
        classes = ", ".join(str(k) for k in np.where(flat.any(axis=1))[0])
        log.warning("some regression targets of class %s do not vary, as when its foreground boxes "
                    "are nothing but annotations; they are divided by 1 and teach little (more "
                    "proposals per object would help)", classes)
    return np.where(flat, 1.0, statistics.stds)
