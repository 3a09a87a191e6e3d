"""The report of a check of data sets.

    report.md               what was found, and tables of what is in the data
    <data set>_sheet.jpg    a contact sheet of images with their annotations
    statistics.json         the numbers of the tables
"""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faster_rcnn.annotations.check import CheckedObject
from faster_rcnn.annotations.problems import Notes, Problem, counted
from faster_rcnn.files.atomic import write_json, write_text
from faster_rcnn.images.reading import ImageError, read_image
from faster_rcnn.reports import visualize
from faster_rcnn.reports.data_check import SUSPICIOUS
from faster_rcnn.reports.names import in_markdown

SHEET_IMAGES = 24


def write_data_report(checks: Sequence[tuple[Any, list[Problem], dict]],
                      output_dir: str | Path) -> str:
    """Writes the report of [(imdb, problems, statistics), ...]; returns the path of report.md."""
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    sections = []
    for imdb, problems, numbers in checks:
        name = f"{imdb.name}_sheet.jpg"
        sheet = annotated_sheet(imdb)
        if sheet is not None:
            visualize.write_image(output_dir / name, sheet)
        sections.append(_section(imdb, problems, numbers, name if sheet is not None else None))
    write_json(str(output_dir / "statistics.json"), [numbers for _, _, numbers in checks])
    path = str(output_dir / "report.md")
    write_text(path, "\n".join(sections))
    return path


def annotated_sheet(imdb: Any) -> np.ndarray | None:
    """Up to SHEET_IMAGES images with objects, spread over the data set; None without any."""
    checked = imdb.checked_annotations()
    shown = [i for i, number in enumerate(imdb.image_index) if checked[number]]
    shown = shown[::max(1, len(shown) // SHEET_IMAGES)][:SHEET_IMAGES]
    pictures, captions = [], []
    for i in shown:
        objects, path = checked[imdb.image_index[i]], imdb.image_path_at(i)
        try:
            pictures.append(annotated(read_image(path), objects, imdb.classes))
        except ImageError:      # is among the problems
            continue
        captions.append(f"{Path(path).stem}: {len(objects)}")
    return visualize.contact_sheet(pictures, captions)


def annotated(im: np.ndarray, objects: Sequence[CheckedObject],
              classes: Sequence[str]) -> np.ndarray:
    """An image with the boxes and class names of CheckedObjects, enlarged where it is small."""
    canvas, scale = visualize.enlarged(im)
    for obj in objects:
        colour = visualize.class_colour(obj.class_index - 1)
        box = visualize.scaled_box(obj.box, scale)
        words = [classes[obj.class_index], *(["difficult"] if obj.difficult else []),
                 *(["crowd"] if obj.crowd else [])]
        visualize.draw_box(canvas, box, colour)
        visualize.draw_label(canvas, " ".join(words), box[0] - 2, box[1], colour)
    return canvas


def summary_lines(numbers: dict, notes: Notes, limit: int | None = 5) -> list[str]:
    """What is in a data set, as lines of text; see data_check.statistics.

    limit: so many places of a note are named; None: all.
    """
    lines = [f"{numbers['name']}: {numbers['images']} images, {numbers['usable']} with a usable "
             f"annotation, {numbers['without_objects']} of them without objects; "
             f"{numbers['objects']} objects"]
    for name, entry in numbers["per_class"].items():
        share = entry["objects"] / numbers["objects"] if numbers["objects"] else 0
        lines.append(f"  {name:20} {entry['objects']:7d} objects ({share:.1%}) in "
                     f"{entry['images']} images, {entry['difficult']} difficult, "
                     f"{entry['crowd']} crowds")
    if numbers["most_over_least_frequent"]:
        lines.append("  most over least frequent class: "
                     f"{numbers['most_over_least_frequent']:.1f}")
    for title, key in (("image widths", "widths"), ("image heights", "heights"),
                       ("objects per image", "objects_per_image"), ("box widths", "box_widths"),
                       ("box heights", "box_heights"), ("box sizes", "box_sizes"),
                       ("heights over widths", "box_ratios")):
        if numbers[key]:
            lines.append(f"  {title}: " + ", ".join(f"{name} {value:.3g}" for name, value
                                                    in numbers[key].items()))
    lines.append("  by area: " + ", ".join(f"{count} {name}" for name, count
                                           in numbers["by_area"].items()))
    lines += [_note_line(what, places, limit) for what, places in notes.items()
              if what not in SUSPICIOUS]
    return lines


def _note_line(what: str, places: list[tuple[str, str]], limit: int | None) -> str:
    shown = places if limit is None else places[:limit]
    more = len(places) - len(shown)
    return f"  {counted(what, shown, len(places))}" + (f" and {more} more" if more else "")


def _section(imdb: Any, problems: list[Problem], numbers: dict, sheet: str | None) -> str:
    lines = [f"# {in_markdown(imdb.name)}", "", f"{len(problems)} findings.", ""]
    lines += [f"* {in_markdown(str(problem))}" for problem in problems]
    # indented, so that no name in the summary ends the block of code
    summary = "\n".join(summary_lines(numbers, imdb.notes, None)).splitlines()
    lines += ["", *(f"    {line}" for line in summary), ""]
    if sheet is not None:
        lines += [f"![annotated images]({sheet})", ""]
    return "\n".join(lines)
