"""Values that no setting may have, refused before anything is computed with them."""
import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from caffe.core.precision import PRECISIONS
from faster_rcnn.settings.merge import ConfigValueError


class Rule(NamedTuple):
    """A condition, in words and as a function, and the settings that must meet it."""

    wanted: str
    is_met: Callable[[Any], bool]
    names: tuple[str, ...]


def _between(low: float, high: float) -> Callable[[Any], bool]:
    """Whether all numbers of a value lie in [low, high]."""
    return lambda value: bool(np.all((np.asarray(value) >= low) & (np.asarray(value) <= high)))


def _all_positive(value: Any) -> bool:
    return np.size(value) > 0 and bool(np.min(value) > 0)


def _is_folder_name(value: str) -> bool:
    return value.strip() not in ("", ".") and ".." not in value.split(os.sep)


RULES = (
    Rule("greater than 0", _all_positive, (
        "TRAIN.SCALES", "TRAIN.MAX_SIZE", "TRAIN.SCALE_MULTIPLE_OF", "TRAIN.IMS_PER_BATCH",
        "TRAIN.SNAPSHOT_ITERS", "TRAIN.RPN_BATCHSIZE", "TRAIN.BBOX_NORMALIZE_STDS",
        "TRAIN.RPN_NORMALIZE_STDS", "TRAIN.SCALE_JITTER", "TRAIN.VAL_ITERS", "TEST.SCALES",
        "TEST.MAX_SIZE", "TEST.SCALE_MULTIPLE_OF", "TEST.IMS_PER_BATCH", "TEST.SOFT_NMS_SIGMA",
        "TEST.BBOX_VOTE_N_WEIGHTED_SCORE")),
    Rule("0 or greater", _between(0, math.inf), (
        "TRAIN.CHECKPOINT_ITERS", "TRAIN.CURVE_ITERS", "TRAIN.FEATURE_CACHE_MB",
        "TRAIN.PICTURE_ITERS", "TRAIN.VAL_PATIENCE",
        "TRAIN.RPN_MIN_SIZE", "TRAIN.BBOX_INSIDE_WEIGHTS",
        "TRAIN.RPN_BBOX_INSIDE_WEIGHTS", "TEST.RPN_MIN_SIZE", "ANCHOR_BASE", "DEDUP_BOXES",
        "BBOX_MAX_LOG_SCALE", "GPU_ID", "TEST.BBOX_VOTE_WEIGHT_EMPTY")),
    Rule("from 0 to 256", _between(0, 256), ("TRAIN.LOADER_THREADS",)),
    Rule("from 0 to 1", _between(0, 1), (
        "TRAIN.FG_FRACTION", "TRAIN.RPN_FG_FRACTION", "TRAIN.FG_THRESH", "TRAIN.BG_THRESH_HI",
        "TRAIN.BG_THRESH_LO", "TRAIN.BBOX_THRESH", "TRAIN.OHEM_NMS_THRESH",
        "TRAIN.RPN_POSITIVE_OVERLAP", "TRAIN.RPN_NEGATIVE_OVERLAP", "TRAIN.RPN_NMS_THRESH",
        "TRAIN.RANDOM_CROP", "TRAIN.COLOR_JITTER", "TEST.NMS", "TEST.SOFT_NMS_THRESH",
        "TEST.RPN_NMS_THRESH")),
    Rule("greater than 0, or -1 for all rois", lambda v: v == -1 or v > 0, ("TRAIN.BATCH_SIZE",)),
    Rule("from 0 to 1, or -1 for equal weights", lambda v: v == -1 or 0 <= v <= 1,
         ("TRAIN.RPN_POSITIVE_WEIGHT",)),
    Rule("four numbers, of dx, dy, dw, dh", lambda v: np.shape(v) == (4,), (
        "TRAIN.BBOX_NORMALIZE_MEANS", "TRAIN.BBOX_NORMALIZE_STDS", "TRAIN.BBOX_INSIDE_WEIGHTS",
        "TRAIN.RPN_BBOX_INSIDE_WEIGHTS", "TRAIN.RPN_NORMALIZE_MEANS",
        "TRAIN.RPN_NORMALIZE_STDS")),
    Rule("a whole number from 0 to 2^32 - 1", lambda v: 0 <= v < 2 ** 32, ("RNG_SEED",)),
    Rule("a part of a file name, without a path", lambda v: os.path.basename(v) == v,
         ("TRAIN.SNAPSHOT_INFIX",)),
    Rule(" or ".join(PRECISIONS), PRECISIONS.__contains__, ("TRAIN.PRECISION", "TEST.PRECISION")),
    Rule("the name of a folder", _is_folder_name, ("EXP_DIR",)),
)


def check_settings(cfg: dict) -> None:
    """Raises ConfigValueError for the first setting with a value that makes no sense."""
    for name, value in _leaves(cfg, ""):
        if not _is_finite(value):
            raise ConfigValueError(f"{name} must be finite; it is {value}")
    for wanted, is_met, names in RULES:
        for name in names:
            value = _value(cfg, name)
            if not is_met(value):
                raise ConfigValueError(f"{name} must be {wanted}; it is {value!r}")
    if cfg["TRAIN"]["BG_THRESH_LO"] > cfg["TRAIN"]["BG_THRESH_HI"]:
        raise ConfigValueError(
            f"TRAIN.BG_THRESH_LO ({cfg['TRAIN']['BG_THRESH_LO']}) must not be above "
            f"TRAIN.BG_THRESH_HI ({cfg['TRAIN']['BG_THRESH_HI']}): no roi would be background")


def _value(cfg: dict, name: str) -> Any:
    value: Any = cfg
    for part in name.split("."):
        value = value[part]
    return value


def _leaves(table: dict, prefix: str) -> list[tuple[str, Any]]:
    found = []
    for key, value in table.items():
        found += (_leaves(value, f"{prefix}{key}.") if isinstance(value, dict)
                  else [(f"{prefix}{key}", value)])
    return found


def _is_finite(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_finite, value))
    if isinstance(value, (float, np.ndarray)):
        return bool(np.all(np.isfinite(value)))
    return True
