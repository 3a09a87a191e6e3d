"""What a net is changed for: the class count of a data set, and the anchors."""
from dataclasses import dataclass

from faster_rcnn.anchors.options import UNCHANGED, AnchorOptions
from faster_rcnn.settings.config import cfg


@dataclass(frozen=True)
class NetOptions:
    """What a net shall be for."""

    num_classes: int | None = None  # of the data set, background included; None: as the net says
    anchors: AnchorOptions = UNCHANGED
    agnostic: bool = False          # boxes are regressed alike for all classes: tells a net for 2
                                    # classes, whose 8 columns of deltas may mean either

    @classmethod
    def from_cfg(cls, num_classes: int) -> "NetOptions":
        """The present settings, for a data set with so many classes."""
        return cls(num_classes, AnchorOptions.from_cfg(), cfg.TRAIN.AGNOSTIC or cfg.TEST.AGNOSTIC)
