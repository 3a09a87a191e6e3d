"""What minibatches are made with: option objects, taken from `cfg` when a layer is set up."""
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from faster_rcnn.images.augment import AugmentOptions
from faster_rcnn.settings.config import ConfigValueError, cfg


class RoiOptions(NamedTuple):
    """How rois are sampled and what they should learn; named as in cfg.TRAIN."""

    batch_size: int                     # rois per minibatch; -1: all
    fg_fraction: float
    fg_thresh: float
    bg_thresh: tuple[float, float]      # lowest overlap of background, and the first above it
    inside_weights: tuple[float, ...]
    agnostic: bool
    ims_per_batch: int
    # means and standard deviations (4,) that targets computed in the net are normalised by
    normalization: tuple[tuple[float, ...], tuple[float, ...]] | None

    @classmethod
    def from_cfg(cls) -> "RoiOptions":
        """The present settings in cfg.TRAIN."""
        t = cfg.TRAIN
        normalization = None
        if t.BBOX_NORMALIZE_TARGETS_PRECOMPUTED:
            normalization = tuple(t.BBOX_NORMALIZE_MEANS), tuple(t.BBOX_NORMALIZE_STDS)
        return cls(t.BATCH_SIZE, t.FG_FRACTION, t.FG_THRESH, (t.BG_THRESH_LO, t.BG_THRESH_HI),
                   tuple(t.BBOX_INSIDE_WEIGHTS), bool(t.AGNOSTIC), t.IMS_PER_BATCH, normalization)

    def box_classes(self, num_classes: int) -> int:
        """The classes that boxes are regressed for: with TRAIN.AGNOSTIC two, whatever the number of
        classes (R-FCN)."""
        return 2 if self.agnostic else num_classes


@dataclass(frozen=True)
class MinibatchOptions:
    """How the data layer makes minibatches; named as in cfg.TRAIN."""

    has_rpn: bool
    bbox_reg: bool
    scales: tuple[float, ...]
    max_size: float
    multiple_of: int
    pixel_means: tuple[float, ...]
    rois: RoiOptions
    changes: AugmentOptions
    use_all_gt: bool
    aspect_grouping: bool
    loader_threads: int

    @classmethod
    def from_cfg(cls) -> "MinibatchOptions":
        """The present settings; ConfigValueError for those that cannot go together."""
        t = cfg.TRAIN
        changes = AugmentOptions(tuple(t.SCALE_JITTER), tuple(t.COLOR_JITTER),
                                 tuple(t.RANDOM_CROP))
        if changes.random_crop[0] > 0 and not t.HAS_RPN:
            raise ConfigValueError(
                "TRAIN.RANDOM_CROP is for nets with an RPN (TRAIN.HAS_RPN): stored proposals and "
                "their targets are for whole images; set it to [0.0, 0.5], or train jointly")
        rois = RoiOptions.from_cfg()
        if t.USE_OHEM:
            rois = rois._replace(batch_size=-1)     # OHEMDataLayer chooses
        return cls(bool(t.HAS_RPN), bool(t.BBOX_REG), tuple(t.SCALES), t.MAX_SIZE,
                   t.SCALE_MULTIPLE_OF, tuple(np.ravel(cfg.PIXEL_MEANS).tolist()), rois, changes,
                   bool(t.USE_ALL_GT), bool(t.ASPECT_GROUPING), t.LOADER_THREADS)

    @property
    def top_names(self) -> tuple[str, ...]:
        """The blobs of a minibatch, in the order of the data layer's tops."""
        if self.has_rpn:
            return ("data", "im_info", "gt_boxes")
        regression = ("bbox_targets", "bbox_inside_weights", "bbox_outside_weights")
        return ("data", "rois", "labels") + (regression if self.bbox_reg else ())

    def names_of(self, num_tops: int) -> tuple[str, ...]:
        """The blobs for the tops of a net. Fast R-CNN's first nets have five tops, without
        bbox_outside_weights; their bbox_loss_weights are the inside weights. ConfigValueError."""
        names = self.top_names
        if num_tops == 5 and len(names) == 6:
            return names[:5]
        if num_tops != len(names):
            raise ConfigValueError(
                f"RoIDataLayer: the net has {num_tops} tops, but with TRAIN.HAS_RPN {self.has_rpn} "
                f"and TRAIN.BBOX_REG {self.bbox_reg} there are {len(names)}: {', '.join(names)}")
        return names

    def usual_shape(self, name: str, num_classes: int) -> tuple[int, ...]:
        """The shape of a blob before the first minibatch, which has its own."""
        images, more = self.rois.ims_per_batch, (1, 1) if self.rois.agnostic else ()
        if name == "data":
            sides = max(self.scales), self.max_size
            return images, 3, *(int(-(-side // self.multiple_of)) * self.multiple_of
                                for side in sides)
        if name == "im_info":
            return images, 3
        if name == "gt_boxes":
            return 1, 5 if images == 1 else 6
        if name == "rois":
            return 1, 5, *more
        if name == "labels":
            return 1, *more, *more[1:]
        return 1, 4 * self.rois.box_classes(num_classes), *more
