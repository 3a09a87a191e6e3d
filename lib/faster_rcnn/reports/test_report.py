"""The report of a test: a page of numbers and pictures beside the detections.

    report.html             everything in one file, see html/page.py
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

from faster_rcnn.evaluation.judged_images import MATCH_OVERLAP, SHOW_SCORE
from faster_rcnn.files.atomic import write_text
from faster_rcnn.images.reading import read_image
from faster_rcnn.reports import visualize
from faster_rcnn.reports.html.facts import RunFacts
from faster_rcnn.reports.html.page import write_html_report
from faster_rcnn.reports.image_results import ImageResult, class_counts, image_results
from faster_rcnn.reports.names import distinct_names, in_markdown

SHEET_IMAGES = 24
FAILURE_IMAGES = 16


def write_report(imdb: Any, all_boxes: Sequence[Sequence[np.ndarray]], metrics: dict,
                 output_dir: str | Path, facts: RunFacts | None = None) -> str:
    """Writes the report of one test; returns the path of report.md; report.html is beside.

    Args:
        imdb: the tested data set; its `annotated_boxes()` gives the annotations.
        all_boxes: `all_boxes[class][image]` = (N, 5) detections, class 0 is the background.
        metrics: {"mean_ap": float, "per_class": {name: {"ap", "rec", "prec"}}}.
        output_dir: folder to write into.
        facts: what ran, for the page.
    """
    output_dir = Path(output_dir)
    results = image_results(imdb, all_boxes, imdb.annotated_boxes())
    names = distinct_names([imdb.image_path_at(i) for i in range(imdb.num_images)])
    pictures = []
    curves = {name: metrics["per_class"][name] for name in imdb.classes[1:]}
    visualize.draw_pr_curves(curves, output_dir / "pr_curves.png")
    pictures.append(("Precision and recall", "pr_curves.png"))
    step = max(1, len(results) // SHEET_IMAGES)
    shown = results[::step][:SHEET_IMAGES]
    if _sheet(imdb, shown, names, output_dir / "contact_sheet.jpg",
              [names[r.index] for r in shown]):
        pictures.append(("Detections", "contact_sheet.jpg"))
    worst = sorted((r for r in results if r.badness > 0), key=lambda r: -r.badness)[:FAILURE_IMAGES]
    if _sheet(imdb, worst, names, output_dir / "failures.jpg",
              [f"{names[r.index]}: {len(r.missed)} missed, {r.num_false} false" for r in worst]):
        pictures.append(("Worst images (dashed: missed)", "failures.jpg"))
    text = report_text(imdb, metrics, class_counts(results, imdb.classes[1:]), pictures)
    path = output_dir / "report.md"
    write_text(str(path), text)
    write_html_report(imdb, all_boxes, metrics, names, output_dir / "report.html", facts)
    return str(path)


def report_text(imdb: Any, metrics: dict, counts: dict[str, tuple[int, int, int]],
                pictures: Sequence[tuple[str, str]]) -> str:
    """The page as Markdown; counts: as class_counts gives them; pictures: (heading, file name)."""
    lines = [f"# {in_markdown(imdb.name)}: mean AP {metrics['mean_ap']:.4f}", "",
             f"{imdb.num_images} images, AP at IoU {metrics.get('overlap', MATCH_OVERLAP)}.",
             f"Recall and precision count detections with a score of at least {SHOW_SCORE}.", "",
             "| class | AP | objects | recall | precision |", "|---|---|---|---|---|"]
    for name, (objects, found, false) in counts.items():
        lines.append(f"| {in_markdown(name)} | {metrics['per_class'][name]['ap']:.4f} | "
                     f"{objects} | "
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


def _sheet(imdb: Any, results: Sequence[ImageResult], names: Sequence[str], path: Path,
           captions: Sequence[str]) -> bool:
    """Writes full pictures, by the names of all images, and their sheet; False without any."""
    pictures = []
    for result in results:
        pictures.append(picture(imdb, result, with_missed=True))
        visualize.write_image(path.parent / "pictures" / f"{names[result.index]}.jpg", pictures[-1])
    sheet = visualize.contact_sheet(pictures, captions)
    if sheet is None:
        path.unlink(missing_ok=True)      # of an earlier test
        return False
    visualize.write_image(path, sheet)
    return True
