"""Options of anchors: what is said of them in a net, and what the layers of the RPN take from
`cfg` when they are set up."""
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

from faster_rcnn.settings.config import ConfigValueError, cfg

USUAL_SCALES, USUAL_RATIOS = (8, 16, 32), (0.5, 1, 2)    # of the layers, where a net states none
Normalization = tuple[tuple[float, ...], tuple[float, ...]]


def rpn_normalization() -> Normalization | None:
    """Means and standard deviations (4,) that the RPN's targets are normalised by in training
    (R-FCN); None when they are not. ConfigValueError for deviations that cannot be divided by."""
    train = cfg.TRAIN
    if not train.RPN_NORMALIZE_TARGETS:
        return None
    if not all(std > 0 for std in train.RPN_NORMALIZE_STDS):
        raise ConfigValueError("TRAIN.RPN_NORMALIZE_STDS must be positive numbers, not "
                               f"{list(train.RPN_NORMALIZE_STDS)}")
    return tuple(train.RPN_NORMALIZE_MEANS), tuple(train.RPN_NORMALIZE_STDS)


class AnchorTargetOptions(NamedTuple):
    """How anchors are labelled; the names are those of cfg.TRAIN.RPN_*."""

    allowed_border: float       # pixels that an anchor in training may reach beyond the image
    positive_overlap: float
    negative_overlap: float
    clobber_positives: bool
    batch_size: int
    fg_fraction: float
    inside_weights: tuple[float, ...]
    positive_weight: float
    normalization: Normalization | None = None      # of the targets

    @classmethod
    def from_cfg(cls, allowed_border: float) -> "AnchorTargetOptions":
        """The present settings in cfg.TRAIN."""
        train = cfg.TRAIN
        return cls(allowed_border, train.RPN_POSITIVE_OVERLAP, train.RPN_NEGATIVE_OVERLAP,
                   train.RPN_CLOBBER_POSITIVES, train.RPN_BATCHSIZE, train.RPN_FG_FRACTION,
                   tuple(train.RPN_BBOX_INSIDE_WEIGHTS), train.RPN_POSITIVE_WEIGHT,
                   rpn_normalization())


class ProposalOptions(NamedTuple):
    """How proposals are chosen; the names are those of cfg.<phase>.RPN_*; limits <= 0 mean none."""

    pre_nms_top_n: int
    post_nms_top_n: int
    nms_thresh: float
    min_size: float             # pixels of the original image
    max_log_scale: float = 0.0
    normalization: Normalization | None = None      # what the deltas are normalised by

    @classmethod
    def from_cfg(cls, phase: Any) -> "ProposalOptions":
        """The present settings of a phase, caffe.TRAIN or caffe.TEST. The weights of a test net
        predict plain deltas."""
        limits = cfg[str(phase)]
        return cls(limits.RPN_PRE_NMS_TOP_N, limits.RPN_POST_NMS_TOP_N, limits.RPN_NMS_THRESH,
                   limits.RPN_MIN_SIZE, cfg.BBOX_MAX_LOG_SCALE,
                   rpn_normalization() if str(phase) == "TRAIN" else None)


@dataclass(frozen=True)
class AnchorOptions:
    """Scales, ratios and the base size of anchors; empty and 0: as the prototxt says."""

    scales: Sequence[float] = ()    # side of a square anchor, times base_size
    ratios: Sequence[float] = ()    # height by width
    base_size: int = 0              # pixels

    def __post_init__(self) -> None:
        for name, values in (("ANCHOR_SCALES", self.scales), ("ANCHOR_RATIOS", self.ratios)):
            if not all(isinstance(value, Real) and value > 0 for value in values):
                raise ConfigValueError(f"{name} must be positive numbers; received {list(values)}")
        if self.base_size < 0:
            raise ConfigValueError(f"ANCHOR_BASE must be positive; received {self.base_size}")

    @classmethod
    def from_cfg(cls) -> "AnchorOptions":
        """The present settings, cfg.ANCHOR_*."""
        return cls(tuple(cfg.ANCHOR_SCALES), tuple(cfg.ANCHOR_RATIOS), cfg.ANCHOR_BASE)

    @property
    def per_position(self) -> int:
        """A, the number of anchors at each position of the features."""
        return len(self.scales or USUAL_SCALES) * len(self.ratios or USUAL_RATIOS)

    def stated(self) -> dict[str, object]:
        """{name in param_str: value} of what is set."""
        options = {"scales": list(self.scales), "ratios": list(self.ratios),
                   "base_size": self.base_size}
        return {name: value for name, value in options.items() if value}

    def or_else(self, usual: "AnchorOptions") -> "AnchorOptions":
        """These, and where they are silent the usual ones."""
        return AnchorOptions(self.scales or usual.scales, self.ratios or usual.ratios,
                             self.base_size or usual.base_size)


UNCHANGED = AnchorOptions()
