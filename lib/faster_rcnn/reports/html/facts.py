"""What a report tells about a run beside its detections; whoever starts a test fills it in."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    """A step of the training: its name, seconds (None: unknown), figures by name, and the points
    of its curves, dictionaries with "iteration" and values such as "loss", "loss/rpn_cls_loss",
    "rate" or "mean_ap" (see runs/curves.py); other keys are ignored.
    """

    name: str
    seconds: float | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    points: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class RunFacts:
    """What ran. title: of the page, such as the net's name; rows: (name, value) pairs; settings:
    (name, value, default) of those that differ from the defaults; command: as it was typed.
    """

    title: str = ""
    rows: Sequence[tuple[str, str]] = ()
    settings: Sequence[tuple[str, Any, Any]] = ()
    command: str = ""
    steps: Sequence[Step] = ()
