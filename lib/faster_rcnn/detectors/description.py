"""What a trained detector is: its net, classes and settings, and where it comes from.

A Description says everything that is needed to run the weights beside which it stands. It is
written as JSON (description_files.py), and holds data only.
"""
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from caffe.core.errors import UserError
from caffe.files import prototxt
from caffe.proto.caffe_pb2 import NetParameter
from faster_rcnn.prototxts.anchor_layers import USUAL, anchor_params

BACKGROUND = "__background__"
METHODS = ("faster_rcnn", "fast_rcnn", "rfcn")
# The settings beside cfg.TEST that a test net reads
COMMON_SETTINGS = ("PIXEL_MEANS", "DEDUP_BOXES", "BBOX_MAX_LOG_SCALE")
# ... and those that other nets than the described one follow (--def); only where they are set
ANCHOR_SETTINGS = ("ANCHOR_SCALES", "ANCHOR_RATIOS", "ANCHOR_BASE")
# Least score of a box, where nobody says; the demo's of py-faster-rcnn
USUAL_THRESHOLD = 0.8


class DescriptionError(UserError, ValueError):
    """A description that cannot be used; the message names the file."""


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights: its name without folders, its size, the SHA-256 of its content."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Description:
    """What there is to know of a detector besides its weights.

    net:       the test net, adapted to the classes, as the text of a prototxt
    method:    one of METHODS
    classes:   names without the background; class k of the net is classes[k - 1]
    settings:  those of a test, as in a settings file: {"TEST": {"SCALES": [600], ...},
               "PIXEL_MEANS": ...}; all of cfg.TEST, COMMON_SETTINGS and ANCHOR_SETTINGS
    weights:   the file with its weights
    threshold: smallest score of a box, if no other is asked for
    data:      names of the data sets: {"train": ..., "test": ...}
    training:  how it was trained: schedule, iterations, results
    test:      results of the last test
    versions:  those of the programs that made it
    """

    net: str
    method: str
    classes: tuple[str, ...]
    settings: Mapping[str, Any]
    weights: WeightsFile
    threshold: float = USUAL_THRESHOLD
    data: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    test: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def net_message(self, origin: str = "the described net") -> NetParameter:
        """The net; origin: what errors call it. Raises PrototxtError."""
        return prototxt.read_net_text(self.net, origin)

    @property
    def all_classes(self) -> tuple[str, ...]:
        """The names with the background first."""
        return (BACKGROUND, *self.classes)


def anchors_of(net: NetParameter, origin: str) -> dict[str, Any] | None:
    """{"feat_stride", "scales", "ratios", "base_size"} of a net's RPN; None without one."""
    found = anchor_params(net, origin)
    if not found:
        return None
    stated = {"base_size": 16, **USUAL, **found[0]}
    return {name: list(value) if isinstance(value, (list, tuple)) else value
            for name, value in stated.items()
            if name in ("feat_stride", "scales", "ratios", "base_size")}
