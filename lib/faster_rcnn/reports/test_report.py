"""What a test leaves to look at: a page of numbers and pictures beside the detections.

    report.md               table of AP, recall and precision per class, with the pictures below
    pr_curves.png           precision over recall
    contact_sheet.jpg       images with the boxes found
    failures.jpg            images with missed objects and false alarms, worst first
    pictures/<image>.jpg    the images of both sheets in full size

Boxes are (x1, y1, x2, y2) in inclusive pixels; overlaps are those of the evaluation (IoU > 0.5).
"""
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from faster_rcnn.files.atomic import write_text
from faster_rcnn.reports import visualize

SHOW_SCORE = 0.5          # detections with this score are drawn and counted
MATCH_OVERLAP = 0.5
SHEET_IMAGES = 24
FAILURE_IMAGES = 16


@dataclass
class ImageResult:
    """Detections of one image against its annotations.

    dets: {class name: (N, 5)} with score >= SHOW_SCORE; hits: {class name: (N,) bool};
    missed: [(class name, box (4,)), ...].
    """

    index: int
    dets: dict = field(default_factory=dict)
    hits: dict = field(default_factory=dict)
    missed: list = field(default_factory=list)

    @property
    def badness(self):
        """How wrong the image is: objects missed, and the scores of false alarms."""
        false = sum(dets[~self.hits[name], 4].sum() for name, dets in self.dets.items())
        return len(self.missed) + float(false)


def overlaps_with(box, boxes):
    """(R,) IoU of one box with boxes (R, 4)."""
    width = np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0]) + 1
    height = np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1]) + 1
    inter = np.maximum(width, 0) * np.maximum(height, 0)
    areas = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    return inter / ((box[2] - box[0] + 1) * (box[3] - box[1] + 1) + areas - inter)


def match(dets, gt_boxes):
    """Greedy matching by falling score: (hits (N,) bool, taken (R,) bool).

    A detection hits when its best overlap is above MATCH_OVERLAP and that object is still free.
    """
    hits, taken = np.zeros(len(dets), bool), np.zeros(len(gt_boxes), bool)
    for i in np.argsort(-dets[:, 4], kind="stable") if len(gt_boxes) else ():
        overlaps = overlaps_with(dets[i, :4], gt_boxes)
        best = overlaps.argmax()
        if overlaps[best] > MATCH_OVERLAP and not taken[best]:
            hits[i] = taken[best] = True
    return hits, taken


def image_results(imdb, all_boxes, roidb):
    """One ImageResult per image. `all_boxes[class][image]`: (N, 5); `roidb`: the annotations."""
    results = []
    for index, entry in enumerate(roidb):
        result = ImageResult(index)
        gt_boxes = np.asarray(entry["boxes"], np.float64).reshape(-1, 4)
        for number, name in enumerate(imdb.classes[1:], 1):
            dets = np.asarray(all_boxes[number][index], np.float64).reshape(-1, 5)
            dets = dets[dets[:, 4] >= SHOW_SCORE]
            truth = gt_boxes[np.asarray(entry["gt_classes"]) == number]
            hits, taken = match(dets, truth)
            result.dets[name], result.hits[name] = dets, hits
            result.missed += [(name, box) for box in truth[~taken]]
        results.append(result)
    return results


def class_counts(results, classes):
    """{class: (objects, found, false alarms)} at SHOW_SCORE."""
    counts = {}
    for name in classes:
        found = sum(int(result.hits[name].sum()) for result in results)
        false = sum(int((~result.hits[name]).sum()) for result in results)
        missed = sum(name == missing for result in results for missing, _ in result.missed)
        counts[name] = (found + missed, found, false)
    return counts


def report_text(imdb, metrics, counts, pictures):
    """The page as Markdown; `pictures` = [(heading, file name), ...]."""
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


def _share(part, whole):
    return f"{part / whole:.3f}" if whole else "-"


def picture(imdb, result, with_missed):
    """An image with its detections; missed objects dashed, when wanted."""
    path = imdb.image_path_at(result.index)
    im = cv2.imread(path)
    if im is None:
        raise ValueError(f"{path}: the image could not be read")
    canvas = visualize.draw_detections(im, result.dets, SHOW_SCORE, imdb.classes[1:])
    if with_missed:
        scale = canvas.shape[1] / im.shape[1]
        visualize.draw_annotations(canvas, [box for _, box in result.missed],
                                   [f"missed {name}" for name, _ in result.missed], scale)
    return canvas


def _sheet(imdb, results, output_dir, name, captions):
    """Writes full pictures and their sheet; returns False when there is nothing to show."""
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


def _caption(imdb, result):
    stem = Path(imdb.image_path_at(result.index)).stem
    false = sum(int((~hits).sum()) for hits in result.hits.values())
    return f"{stem}: {len(result.missed)} missed, {false} false"


def write_report(imdb, all_boxes, metrics, output_dir):
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
