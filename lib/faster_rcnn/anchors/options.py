"""What is said of the anchors of a net."""
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

from faster_rcnn.settings.config import ConfigValueError, cfg

USUAL_SCALES, USUAL_RATIOS = (8, 16, 32), (0.5, 1, 2)    # of the layers, where a net states none


@dataclass(frozen=True)
class AnchorOptions:
    """Scales, ratios and the base size of anchors; empty and 0: as the prototxt says."""

    scales: Sequence[float] = ()    # side of a square anchor, times base_size
    ratios: Sequence[float] = ()    # height by width
    base_size: int = 0              # pixels

    def __post_init__(self):
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
