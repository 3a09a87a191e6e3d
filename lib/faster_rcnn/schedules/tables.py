"""What a table of steps is made of; alternating.py and rfcn.py hold the tables, runner.py runs
them.
"""
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Kind(Enum):
    """What a step does."""

    TRAINING = "training"
    PROPOSALS = "proposals"             # makes proposals for the training images
    TEST_PROPOSALS = "test proposals"   # ... for the test images
    STATISTICS = "statistics"           # measures the RPN's targets on images scaled as in a test;
    #                                     all later steps normalise theirs by the result


# The sections of cfg that a step reads, beside the common settings
SECTIONS = {Kind.TRAINING: ("TRAIN",), Kind.PROPOSALS: ("TEST",), Kind.TEST_PROPOSALS: ("TEST",),
            Kind.STATISTICS: ("TRAIN", "TEST")}


@dataclass(frozen=True)
class Stage:
    """A training step's solver: its file name, and the iterations where it has no max_iter."""

    solver: str
    iterations: int


@dataclass(frozen=True)
class Step:
    """A row of the table; `weights` and `proposals` name the step whose result is taken."""

    name: str
    stage: str                          # infix of its snapshots
    prototxt: str                       # solver, or net of a step that trains nothing
    settings: Mapping[str, Any]         # what it overrides in cfg
    weights: str | None                 # None: the initial (ImageNet) weights
    proposals: str | None
    title: str
    kind: Kind = Kind.TRAINING


@dataclass(frozen=True)
class Schedule:
    """A table of steps and what it needs."""

    name: str                           # of the final model: <NET>_<name>_final.caffemodel
    record: str                         # of the record: <NET>_<record>.json
    method: str                         # folder of the prototxts: models/pascal_voc/<NET>/<method>
    steps: tuple[Step, ...]
    stages: tuple[Stage, ...]           # one per training step
    test_nets: tuple[str, ...]
    result: str                         # the step whose model is the final one
