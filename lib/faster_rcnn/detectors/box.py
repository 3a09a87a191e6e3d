"""What a detector finds."""
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Box:
    """An object: the name of its class, its score from 0 to 1, and its box.

    x1, y1, x2, y2: pixels of the picture as it is shown, corners inclusive, counted from 0.
    class_index: the number of the class, from 1; the background is 0.
    """

    name: str
    score: float
    x1: float
    y1: float
    x2: float
    y2: float
    class_index: int

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """(x1, y1, x2, y2)."""
        return self.x1, self.y1, self.x2, self.y2


def boxes_of(detections: Sequence[np.ndarray], classes: Sequence[str],
             threshold: float) -> list[Box]:
    """The boxes with a score of at least the threshold, best first.

    detections: per class, the background's first, (n, 5): x1, y1, x2, y2, score; classes: their
    names.
    """
    found = [Box(classes[k], score, x1, y1, x2, y2, k)
             for k, rows in enumerate(detections) if k
             for x1, y1, x2, y2, score in rows.tolist() if score >= threshold]
    return sorted(found, key=lambda box: -box.score)


def by_class(boxes: Sequence[Box]) -> Iterator[tuple[str, np.ndarray]]:
    """(name of a class, its detections (n, 5)) of boxes."""
    for name in dict.fromkeys(box.name for box in boxes):
        yield name, np.array([(*box.corners, box.score) for box in boxes if box.name == name],
                             np.float32)
