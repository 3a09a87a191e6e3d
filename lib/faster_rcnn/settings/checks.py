"""Numbers that no setting may have, said before anything is computed with them."""
import numpy as np

from faster_rcnn.settings.merge import ConfigValueError

_SHARE = (lambda v: 0 <= v <= 1, "a share from 0 to 1")
_POSITIVE = (lambda v: np.size(v) > 0 and np.min(v) > 0, "greater than 0")
_FOUR = (lambda v: np.shape(v) == (4,), "four numbers, of dx, dy, dw, dh")
# a rule, what it asks for, and the settings it holds for
RULES = (
    (*_POSITIVE, ("TRAIN.SCALES", "TRAIN.MAX_SIZE", "TRAIN.SCALE_MULTIPLE_OF",
                  "TRAIN.IMS_PER_BATCH", "TRAIN.SNAPSHOT_ITERS", "TRAIN.RPN_BATCHSIZE",
                  "TRAIN.BBOX_NORMALIZE_STDS", "TEST.SCALES", "TEST.MAX_SIZE",
                  "TEST.SCALE_MULTIPLE_OF")),
    (*_SHARE, ("TRAIN.FG_FRACTION", "TRAIN.RPN_FG_FRACTION")),
    (*_FOUR, ("TRAIN.BBOX_NORMALIZE_MEANS", "TRAIN.BBOX_NORMALIZE_STDS",
              "TRAIN.BBOX_INSIDE_WEIGHTS", "TRAIN.RPN_BBOX_INSIDE_WEIGHTS",
              "TRAIN.RPN_NORMALIZE_MEANS", "TRAIN.RPN_NORMALIZE_STDS")),
    (lambda v: 0 <= v < 2 ** 32, "a whole number from 0 to 2^32 - 1", ("RNG_SEED",)),
)


def check_settings(cfg):
    """ConfigValueError for the first setting with a number that makes no sense."""
    for is_right, wanted, names in RULES:
        for name in names:
            value = cfg
            for part in name.split("."):
                value = value[part]
            if not is_right(value):
                raise ConfigValueError(f"{name} must be {wanted}; it is {value}")
