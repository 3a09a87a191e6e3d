"""Normalised regression targets of the RPN (R-FCN)."""
from faster_rcnn.settings.config import cfg


def rpn_normalization():
    """Means and standard deviations (4,) that the RPN's targets are normalised by in training; None
    when they are not. ValueError for deviations that nothing can be divided by."""
    train = cfg.TRAIN
    if not train.RPN_NORMALIZE_TARGETS:
        return None
    if not all(std > 0 for std in train.RPN_NORMALIZE_STDS):
        raise ValueError("TRAIN.RPN_NORMALIZE_STDS must be positive numbers, not "
                         f"{list(train.RPN_NORMALIZE_STDS)}")
    return tuple(train.RPN_NORMALIZE_MEANS), tuple(train.RPN_NORMALIZE_STDS)
