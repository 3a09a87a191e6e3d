"""Annotation files of Label Studio: its JSON and JSON-MIN, one file with all tasks of a project.

    [{"data": {"image": "/data/upload/1/0a1b2c3d-a.jpg"}, "annotations": [{"result": [
        {"type": "rectanglelabels", "original_width": 640, "original_height": 480,
         "value": {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0,
                   "rectanglelabels": ["cat"]}}]}]}]
    [{"image": "/data/upload/1/0a1b2c3d-a.jpg", "label": [
        {"x": 10, "y": 20, "width": 30, "height": 40, "rectanglelabels": ["cat"], ...}]}]

x, y is the upper left corner; all are hundredths of the image's width and height. Every shape
becomes the box around it. Of several annotations of a task the one marked as ground truth is taken,
else the first that was not cancelled. Tasks that nobody annotated are left out.
"""
import math
import urllib.parse
from collections.abc import Iterator

from faster_rcnn.annotations.box_objects import Box, BoxObject, ShareObject, bounding_box
from faster_rcnn.annotations.files import AnnotationError, OtherFormError, json_content, remembered
from faster_rcnn.annotations.tables.image_table import (
    MAX_BYTES,
    ImageTable,
    as_list,
    box_around,
    number,
    numbers,
    texts_of,
)
from faster_rcnn.annotations.values import whole_number

# A shape's key of its classes ends so: rectanglelabels, polygonlabels, ellipselabels
LABELS = "labels"
PARTS = 100.0
MAX_SIDE = 1_000_000


@remembered(MAX_BYTES, count=4)
def read_label_studio(path: str) -> ImageTable:
    """The table of a file; AnnotationError when it is missing or of another form."""
    content, table = json_content(path, MAX_BYTES), ImageTable(path)
    if not isinstance(content, list) or not all(isinstance(task, dict) for task in content):
        raise OtherFormError(f"{path}: JSON of another form: Label Studio's is a list of tasks")
    empty = several = 0
    for place, task in enumerate(content, 1):
        name = _image_name(task.get("data", task))
        if not name:
            raise AnnotationError(f"{path}: task {place} names no image")
        results, choices = _results(task)
        several += choices > 1
        if results is None:
            empty += 1
            continue
        shapes = list(_shapes(results))
        table.add(name, _size(results), [_object(f"shape {count} of {name}", *shape)
                                         for count, shape in enumerate(shapes, 1)])
    if empty:
        table.notes.append(f"{empty} tasks of {path} have no annotation and are left out")
    if several:
        table.notes.append(f"{several} tasks of {path} have several annotations, of which one is "
                           "taken: the ground truth, or else the first")
    return table


def _image_name(data: object) -> str:
    """The image of a task: a path, or what an address ends with."""
    texts = {key: value for key, value in data.items() if isinstance(value, str)} if isinstance(
        data, dict) else {}
    chosen = texts.get("image") or next((value for value in texts.values() if "/" in value), "")
    try:
        address = urllib.parse.urlsplit(chosen)
    except ValueError:      # a bracket where the name of a machine stands
        return chosen
    local = urllib.parse.parse_qs(address.query).get("d")      # /data/local-files/?d=folder/a.jpg
    if local:
        return local[0]
    return urllib.parse.unquote(address.path) if address.scheme or "/" in chosen else chosen


def _results(task: dict) -> tuple[list | None, int]:
    """The shapes of a task, None where nobody annotated it, and how many annotations it has."""
    if "data" not in task:      # JSON-MIN: a list of shapes under a name that people choose
        lists = [value for value in task.values() if isinstance(value, list) and any(
            isinstance(shape, dict) and any(key.endswith(LABELS) for key in shape)
            for shape in value)]
        return [shape for value in lists for shape in value], 1
    done = [one for one in as_list(task.get("annotations")) or as_list(task.get("completions"))
            if isinstance(one, dict) and not one.get("was_cancelled")]
    if not done:
        return None, 0
    chosen = next((one for one in done if one.get("ground_truth")), done[0])
    return as_list(chosen.get("result")), len(done)


def _shapes(results: list) -> Iterator[tuple[dict, dict]]:
    """(shape, its result) of the results that have an extent and a label."""
    for result in results:
        value = result.get("value", result) if isinstance(result, dict) else None
        if isinstance(value, dict) and (any(key.endswith(LABELS) for key in value)
                                        or "width" in value or "points" in value):
            yield value, result


def _size(results: list) -> tuple[int, int] | None:
    """(width, height) of the image as the first shape says it."""
    for result in results:
        sizes = [whole_number(result.get(key)) for key in ("original_width", "original_height")
                 ] if isinstance(result, dict) else []
        width, height = sizes or (None, None)
        if width and height and 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE:
            return width, height
    return None


def _object(place: str, value: dict, result: dict) -> BoxObject:
    texts = [text for key, names in value.items() if key.endswith(LABELS)
             for text in texts_of(names)]
    if len(texts) > 1:
        return ShareObject(place, texts[0], None, f"has several classes: {', '.join(texts)}")
    box = _box(value, _size([result]) or (1, 1))
    name = texts[0] if texts else ""
    if box is None:
        return ShareObject(place, name, None, "has no width and height, or others than numbers")
    x1, y1, x2, y2 = (side / PARTS for side in box)
    return ShareObject(place, name, (x1, y1, x2, y2))


def _box(value: dict, size: tuple[int, int]) -> Box | None:
    """The box around a shape in hundredths; size: of the image, for rectangles that are turned."""
    points = value.get("points")
    if isinstance(points, list):
        pairs = [point for point in points if isinstance(point, list) and len(point) == 2]
        return box_around([x for x, _ in pairs], [y for _, y in pairs]) if len(pairs) == len(
            points) else None
    ellipse = numbers(value, ("x", "y", "radiusX", "radiusY"))
    if ellipse is not None:
        x, y, rx, ry = ellipse
        return x - rx, y - ry, x + rx, y + ry
    measures = numbers(value, ("x", "y", "width", "height"))
    return None if measures is None else _turned(measures, number(value.get("rotation")) or 0.0,
                                                 size)


def _turned(measures: list[float], degrees: float, size: tuple[int, int]) -> Box:
    """The box around a rectangle that is turned clockwise around its upper left corner.

    measures: x, y, width, height.
    """
    x, y, width, height = measures
    if not degrees % 360 or not math.isfinite(degrees):
        return x, y, x + width, y + height
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    stretch = size[0] / size[1]     # hundredths of the width in those of the height
    corners = [(x + dx * cos - dy * sin / stretch, y + dx * sin * stretch + dy * cos)
               for dx in (0, width) for dy in (0, height)]
    return bounding_box(corners)
