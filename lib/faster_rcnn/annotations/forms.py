"""What an annotation must have to be checked, whatever the format of its file."""
from collections.abc import Sequence
from typing import Protocol


class AnnotatedObject(Protocol):
    """An object as its file describes it; `voc_xml.VocObject` and `coco_json.CocoObject` are."""

    @property
    def name(self) -> str:
        """Its class, in any case; empty when there is none."""

    @property
    def box(self) -> tuple | None:
        """The four numbers of the file; None, and `problem` says why, when they cannot be read."""

    @property
    def problem(self) -> str:
        """Why there is no box."""

    @property
    def doubt(self) -> str:
        """Which flag (difficult, crowd) cannot be read and counts as no, or empty."""

    @property
    def difficult(self) -> bool:
        """Whether the file marks the object as difficult."""

    @property
    def crowd(self) -> bool:
        """Whether the box is that of a crowd."""

    @property
    def area(self) -> float | None:
        """Area in pixels, where the file says one."""

    @property
    def subject(self) -> str:
        """How messages call the object."""

    @property
    def whole_numbers(self) -> bool:
        """Whether boxes of this form have no fractions."""

    def corners(self, box: Sequence[float]) -> Sequence[float]:
        """A box of the file as inclusive corners, from 0."""

    def written(self, corners: Sequence[float]) -> Sequence[float]:
        """Corners as the file would say them."""

    def fault(self, box: Sequence[float]) -> str:
        """Why finite numbers are not a box; empty when they are one."""


class Annotation(Protocol):
    """The objects of one image."""

    @property
    def path(self) -> str:
        """The file."""

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) of the image as written, or None."""

    @property
    def objects(self) -> Sequence[AnnotatedObject]:
        """In the order of the file."""

    @property
    def place(self) -> str:
        """How messages call the annotation."""


class Rules(Protocol):
    """What a data set wants done about problems; a `datasets.cards.Card` has it."""

    @property
    def on_bad_box(self) -> str:
        """clamp, skip or error."""

    @property
    def on_unknown_class(self) -> str:
        """skip or error."""

    @property
    def on_bad_annotation(self) -> str:
        """skip or error."""
