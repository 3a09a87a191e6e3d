"""Pictures of detections: boxes with readable labels, contact sheets, precision-recall curves.

Images are (H, W, 3) uint8 in BGR order, as OpenCV reads them; detections are (N, 5) arrays of
(x1, y1, x2, y2, score) in inclusive pixels of the image. Nothing here needs a display.
"""
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from caffe.core.packages import require
from faster_rcnn.images.blob import scaled_image

# BGR; dark enough for white letters, far from each other for the first dozen classes
PALETTE = ((200, 90, 20), (40, 40, 210), (60, 140, 20), (180, 30, 150), (0, 110, 230),
           (150, 130, 0), (110, 60, 60), (120, 20, 220), (30, 90, 130), (90, 160, 60),
           (190, 60, 100), (80, 80, 80))
TRUTH_COLOUR = (255, 255, 255)
SHOW_SHORT_SIDE = 420              # small pictures are enlarged to this, so that labels fit,
SHOW_LONG_SIDE = 2000              # ... but a thin one to this length at most
JPEG_SIDE = 65500                  # the longest side of a JPEG
FONT, FONT_SCALE, LABEL_HEIGHT = cv2.FONT_HERSHEY_SIMPLEX, 0.45, 17


def class_colour(index: int) -> tuple[int, int, int]:
    """The BGR colour of class number `index`."""
    return PALETTE[index % len(PALETTE)]


def enlarged(image: np.ndarray, short_side: int = SHOW_SHORT_SIDE) -> tuple[np.ndarray, float]:
    """The image enlarged to the short side, and the factor; a copy and 1.0 where it is larger.

    An image that is too long for a JPEG is made smaller.
    """
    shorter, longer = min(image.shape[:2]), max(image.shape[:2])
    scale = max(min(short_side / shorter, SHOW_LONG_SIDE / longer), 1.0)
    scale = min(scale, JPEG_SIDE / longer)
    if scale == 1:
        return image.copy(), 1.0
    return scaled_image(image, scale, cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA), scale


def draw_label(canvas: np.ndarray, text: str, x: float, y: float,
               colour: tuple[int, int, int]) -> None:
    """White letters on a filled strip with its lower left corner at (x, y), moved inside."""
    (width, _), _ = cv2.getTextSize(text, FONT, FONT_SCALE, 1)
    x = int(np.clip(x, 0, max(0, canvas.shape[1] - width - 6)))
    y = int(np.clip(y, LABEL_HEIGHT, canvas.shape[0]))
    cv2.rectangle(canvas, (x, y - LABEL_HEIGHT), (x + width + 6, y - 1), colour, -1)
    cv2.putText(canvas, text, (x + 3, y - 5), FONT, FONT_SCALE, (255, 255, 255), 1, cv2.LINE_AA)


def draw_box(canvas: np.ndarray, box: Sequence[float], colour: tuple[int, int, int],
             thickness: int = 2) -> None:
    """The outline of (x1, y1, x2, y2) with a dark rim, visible on any background."""
    low, high = (tuple(round(float(v)) for v in box[i:i + 2]) for i in (0, 2))
    cv2.rectangle(canvas, low, high, (0, 0, 0), thickness + 2, cv2.LINE_AA)
    cv2.rectangle(canvas, low, high, colour, thickness, cv2.LINE_AA)


def draw_dashed_box(canvas: np.ndarray, box: Sequence[float], colour: tuple[int, int, int],
                    dash: int = 8) -> None:
    """Like draw_box, in dashes: for annotations."""
    x1, y1, x2, y2 = (round(float(v)) for v in box)
    corners = ((x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1))
    for start, end in pairwise(corners):
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        direction = (np.array(end) - start) / length
        for at in range(0, length, 2 * dash):
            first = np.round(start + direction * at).astype(int)
            last = np.round(start + direction * min(at + dash, length)).astype(int)
            for ink, width in (((0, 0, 0), 3), (colour, 1)):
                cv2.line(canvas, tuple(map(int, first)), tuple(map(int, last)), ink, width)


def draw_detections(im: np.ndarray, dets_by_class: dict[str, np.ndarray], thresh: float = 0.5,
                    classes: Sequence[str] | None = None,
                    short_side: int = SHOW_SHORT_SIDE) -> np.ndarray:
    """A copy of `im`, enlarged where it is small, with every detection of at least `thresh`.

    Args:
        im: (H, W, 3) uint8 BGR.
        dets_by_class: {class name: (N, 5) detections}.
        classes: all class names; the index of a name gives its colour (None: order of the dict).
    """
    names = list(dets_by_class) if classes is None else list(classes)
    canvas, scale = enlarged(im, short_side)
    found = [(det[4], name, det) for name, dets in dets_by_class.items()
             for det in np.asarray(dets).reshape(-1, 5) if det[4] >= thresh]
    found.sort(key=lambda item: item[0])                      # the best is drawn last, on top
    for _, name, det in found:
        draw_box(canvas, scaled_box(det[:4], scale), class_colour(names.index(name)))
    for score, name, det in found:
        x1, y1 = scaled_box(det[:4], scale)[:2]
        draw_label(canvas, f"{name} {score:.2f}", x1 - 2, y1, class_colour(names.index(name)))
    return canvas


def draw_annotations(canvas: np.ndarray, boxes: Sequence, labels: Sequence[str],
                     scale: float) -> None:
    """Dashed white boxes (R, 4) with their labels at the lower edge, on an enlarged picture."""
    for box, label in zip(boxes, labels):
        x1, y1, x2, y2 = scaled_box(box, scale)
        draw_dashed_box(canvas, (x1, y1, x2, y2), TRUTH_COLOUR)
        draw_label(canvas, label, x1, y2 + LABEL_HEIGHT, (70, 70, 70))


def scaled_box(box: Sequence[float] | np.ndarray,
               scale: float) -> tuple[float, float, float, float]:
    """An inclusive box on a picture enlarged `scale` times: the same edges of pixels."""
    x1, y1, x2, y2 = (float(v) for v in box)
    return x1 * scale, y1 * scale, (x2 + 1) * scale - 1, (y2 + 1) * scale - 1


def contact_sheet(images: Sequence[np.ndarray], captions: Sequence[str] | None = None,
                  columns: int = 4, cell: tuple[int, int] = (320, 260)) -> np.ndarray | None:
    """Images in a grid of cells (width, height), with captions below; None without images."""
    if not images:
        return None
    captions = captions or [""] * len(images)
    strip = 18 if any(captions) else 0
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    width, height = cell[0] + 6, cell[1] + 6 + strip
    sheet = np.full((rows * height + 6, columns * width + 6, 3), 245, np.uint8)
    for i, (image, caption) in enumerate(zip(images, captions)):
        scale = min(cell[0] / image.shape[1], cell[1] / image.shape[0])
        small = scaled_image(image, scale, cv2.INTER_AREA)
        left, top = 6 + i % columns * width, 6 + i // columns * height
        x, y = left + (cell[0] - small.shape[1]) // 2, top + (cell[1] - small.shape[0]) // 2
        sheet[y:y + small.shape[0], x:x + small.shape[1]] = small
        cv2.putText(sheet, _shortened(caption, cell[0]), (left + 2, top + cell[1] + 14), FONT, 0.4,
                    (30, 30, 30), 1, cv2.LINE_AA)
    return sheet


def _shortened(text: str, width: int) -> str:
    """`text`, cut with dots where it is wider than `width` pixels."""
    def fits(candidate: str) -> bool:
        return cv2.getTextSize(candidate, FONT, 0.4, 1)[0][0] <= width

    if fits(text):
        return text
    while text and not fits(text + "..."):
        text = text[:-1]
    return text + "..."


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Writes a picture; the folder is made. OSError when it cannot be written."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    is_encoded, content = cv2.imencode(path.suffix, image)
    if not is_encoded:
        raise OSError(f"{path}: the picture could not be encoded")
    try:        # OpenCV's own writer says no reason, and crashes on names that are no text
        path.write_bytes(content.tobytes())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OSError(f"{path}: the picture could not be written ({error.strerror})") from None


def draw_pr_curves(curves: dict[str, dict], path: str | Path) -> None:
    """Writes a figure of precision over recall.

    `curves`: {class name: {"rec": (N,), "prec": (N,), "ap": float}}, in descending order of score.
    """
    require("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for i, (name, curve) in enumerate(curves.items()):
        blue, green, red = (value / 255 for value in class_colour(i))
        style = ("-", "--", ":")[i // len(PALETTE) % 3]
        axes.plot(curve["rec"], curve["prec"], style, color=(red, green, blue), linewidth=1.8,
                  label=f"{name}  {curve['ap']:.3f}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.03),
             title="Precision and recall, AP in the legend")
    axes.grid(alpha=0.3)
    if curves:
        axes.legend(loc="lower left", fontsize=8, ncols=1 + len(curves) // 12)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
