"""How a net is tested: an option object, taken from `cfg` once by what starts a test."""
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from faster_rcnn.settings.config import ConfigValueError, cfg
from faster_rcnn.settings.fork_keys import value_here

SOFT_NMS_METHODS = ("linear", "gaussian")


class Refinement(NamedTuple):
    """What is done beyond plain NMS; named as in cfg.TEST (settings/config.py)."""

    soft_nms: str = ""
    soft_nms_sigma: float = 0.5
    soft_nms_thresh: float = 0.001
    bbox_vote: bool = False
    bbox_vote_n_weighted_score: int = 1
    bbox_vote_weight_empty: float = 0.5

    @classmethod
    def of(cls, section: Any) -> "Refinement":
        """The Refinement that a section of settings (cfg.TEST) describes; ConfigValueError."""
        soft_nms = value_here("TEST.SOFT_NMS", section.SOFT_NMS)
        if soft_nms not in ("", *SOFT_NMS_METHODS):
            raise ConfigValueError("TEST.SOFT_NMS must be '' or 0 (off), 'linear' or 1, 'gaussian' "
                                   f"or 2; not {section.SOFT_NMS!r}")
        if not section.SOFT_NMS_SIGMA > 0:
            raise ConfigValueError("TEST.SOFT_NMS_SIGMA must be > 0, not "
                                   f"{section.SOFT_NMS_SIGMA}")
        return cls(soft_nms, section.SOFT_NMS_SIGMA, section.SOFT_NMS_THRESH,
                   section.BBOX_VOTE, section.BBOX_VOTE_N_WEIGHTED_SCORE,
                   section.BBOX_VOTE_WEIGHT_EMPTY)


PLAIN = Refinement()


@dataclass(frozen=True)
class TestOptions:
    """The settings of a test; named as in cfg.TEST."""

    __test__ = False            # pytest: not a test

    scales: tuple[float, ...]
    max_size: float
    multiple_of: int
    ims_per_batch: int
    pixel_means: tuple[float, ...]
    has_rpn: bool
    svm: bool
    bbox_reg: bool
    agnostic: bool
    nms: float
    refinement: Refinement
    dedup_boxes: float
    max_log_scale: float

    @classmethod
    def from_cfg(cls) -> "TestOptions":
        """The present settings; ConfigValueError where they do not go together."""
        t = cfg.TEST
        if t.IMS_PER_BATCH > 1 and not t.HAS_RPN:
            raise ConfigValueError(f"TEST.IMS_PER_BATCH is {t.IMS_PER_BATCH}; nets that are given "
                                   "their rois (TEST.HAS_RPN False) test one image at a time")
        return cls(tuple(t.SCALES), t.MAX_SIZE, t.SCALE_MULTIPLE_OF, t.IMS_PER_BATCH,
                   tuple(np.ravel(cfg.PIXEL_MEANS).tolist()), bool(t.HAS_RPN), bool(t.SVM),
                   bool(t.BBOX_REG), bool(t.AGNOSTIC), t.NMS, Refinement.of(t), cfg.DEDUP_BOXES,
                   cfg.BBOX_MAX_LOG_SCALE)
