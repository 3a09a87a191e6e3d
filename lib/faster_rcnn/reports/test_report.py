"""The report of a test: a page of numbers and pictures beside the detections.

    report.md               table of AP, recall and precision per class, with the pictures below
    pr_curves.png           precision over recall
    contact_sheet.jpg       images with the boxes found
    failures.jpg            images with missed objects and false alarms, worst first
    pictures/<image>.jpg    the images of both sheets in full size
"""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faster_rcnn.files.atomic import write_text
from faster_rcnn.images.reading import read_image
from faster_rcnn.reports import visualize
from faster_rcnn.reports.image_results import (
    MATCH_OVERLAP,
    SHOW_SCORE,
    ImageResult,
    class_counts,
    image_results,
)

SHEET_IMAGES = 24
FAILURE_IMAGES = 16


def write_report(imdb: Any, all_boxes: Sequence[Sequence[np.ndarray]], metrics: dict,
                 output_dir: str | Path) -> str:
    """Writes the report of one test; returns the path of report.md.

    Args:
        imdb: the tested data set; its `gt_roidb()` gives the annotations.
        all_boxes: `all_boxes[class][image]` = (N, 5) detections, class 0 is the background.
        metrics: {"mean_ap": float, "per_class": {name: {"ap", "rec", "prec"}}}.
        output_dir: folder to write into.
    """
    output_dir = Path(output_dir)
    results = image_results(imdb, all_boxes, imdb.gt_roidb())
    pictures = []
    curves = {name: metrics["per_class"][name] for name in imdb.classes[1:]}
    visualize.draw_pr_curves(curves, output_dir / "pr_curves.png")
    pictures.append(("Precision and recall", "pr_curves.png"))
    step = max(1, len(results) // SHEET_IMAGES)
    shown = results[::step][:SHEET_IMAGES]
    if _sheet(imdb, shown, output_dir, "contact_sheet.jpg",
              [Path(imdb.image_path_at(r.index)).stem for r in shown]):
        pictures.append(("Detections", "contact_sheet.jpg"))
    worst = sorted((r for r in results if r.badness > 0), key=lambda r: -r.badness)[:FAILURE_IMAGES]
    if _sheet(imdb, worst, output_dir, "failures.jpg", [_caption(imdb, r) for r in worst]):
        pictures.append(("Worst images (dashed: missed)", "failures.jpg"))
    path = output_dir / "report.md"
    text = report_text(imdb, metrics, class_counts(results, imdb.classes[1:]), pictures)
    write_text(str(path), text)
    return str(path)


def report_text(imdb: Any, metrics: dict, counts: dict[str, tuple[int, int, int]],
                pictures: Sequence[tuple[str, str]]) -> str:
    """The page as Markdown; counts: as class_counts gives them; pictures: (heading, file name)."""
    lines = [f"# {imdb.name}: mean AP {metrics['mean_ap']:.4f}", "",
             f"{imdb.num_images} images, AP at IoU {metrics.get('overlap', MATCH_OVERLAP)}.",
             f"Recall and precision count detections with a score of at least {SHOW_SCORE}.", "",
             "| class | AP | objects | recall | precision |", "|---|---|---|---|---|"]
    for name, (objects, found, false) in counts.items():
        lines.append(f"| {name} | {metrics['per_class'][name]['ap']:.4f} | {objects} | "
                     f"{_share(found, objects)} | {_share(found, found + false)} |")
    objects, found, false = (sum(column) for column in zip(*counts.values()))
    lines.append(f"| **all** | **{metrics['mean_ap']:.4f}** | {objects} | "
                 f"{_share(found, objects)} | {_share(found, found + false)} |")
    for heading, name in pictures:
        lines += ["", f"## {heading}", "", f"![{heading}]({name})"]
    return "\n".join(lines) + "\n"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def picture(imdb: Any, result: ImageResult, with_missed: bool) -> np.ndarray:
    """An image with its detections and, when wanted, missed objects in dashed lines."""
    im = read_image(imdb.image_path_at(result.index))
    canvas = visualize.draw_detections(im, result.dets, SHOW_SCORE, imdb.classes[1:])
    if with_missed:
        scale = canvas.shape[1] / im.shape[1]
        visualize.draw_annotations(canvas, [box for _, box in result.missed],
                                   [f"missed {name}" for name, _ in result.missed], scale)
    return canvas


def _sheet(imdb: Any, results: Sequence[ImageResult], output_dir: Path, name: str,
           captions: Sequence[str]) -> bool:
    """Writes full pictures and their sheet; returns False when there are none."""
    pictures = []
    for result in results:
        pictures.append(picture(imdb, result, with_missed=True))
        stem = Path(imdb.image_path_at(result.index)).stem
        visualize.write_image(output_dir / "pictures" / f"{stem}.jpg", pictures[-1])
    sheet = visualize.contact_sheet(pictures, captions)
    if sheet is None:
        (output_dir / name).unlink(missing_ok=True)      # of an earlier test
        return False
    visualize.write_image(output_dir / name, sheet)
    return True


def _caption(imdb: Any, result: ImageResult) -> str:
    stem = Path(imdb.image_path_at(result.index)).stem
    return f"{stem}: {len(result.missed)} missed, {result.num_false} false"
