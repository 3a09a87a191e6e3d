"""What a training looks at in one iteration, as a picture: an image with annotations, anchors,
proposals side by side.
"""
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faster_rcnn.reports import visualize

CELL = (460, 360)               # a panel, width and height in pixels
GOOD, POOR = (255, 170, 60), (210, 210, 210)     # BGR; bright beside the dark rim of boxes


@dataclass(frozen=True)
class Panel:
    """Boxes (N, 4), x1, y1, x2, y2 in inclusive pixels of the image, and words below it.

    labels (N,): annotated boxes, drawn in dashes; without labels they are drawn in lines, the first
    one on top, in grey where `good` (N,) bool is False.
    """

    words: str
    boxes: np.ndarray
    labels: Sequence[str] = ()
    good: np.ndarray | None = None


def training_picture(image: np.ndarray, panels: Sequence[Panel]) -> np.ndarray:
    """An image (H, W, 3) uint8, BGR, once per panel, side by side; the image alone without any."""
    shown = [_drawn(image, panel) for panel in panels]
    sheet = visualize.contact_sheet(shown, [panel.words for panel in panels], columns=len(panels),
                                    cell=CELL)
    return visualize.enlarged(image)[0] if sheet is None else sheet


def _drawn(image: np.ndarray, panel: Panel) -> np.ndarray:
    canvas, scale = visualize.enlarged(image)
    if panel.labels:
        visualize.draw_annotations(canvas, list(panel.boxes), panel.labels, scale)
        return canvas
    good = np.ones(len(panel.boxes), bool) if panel.good is None else panel.good
    for box, fine in list(zip(panel.boxes, good))[::-1]:
        visualize.draw_box(canvas, visualize.scaled_box(box, scale), GOOD if fine else POOR)
    return canvas
