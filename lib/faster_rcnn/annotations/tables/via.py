"""Annotation files of the VGG Image Annotator (VIA 1 and 2): JSON or a table with all images, or
the JSON of a project.

    {"a.jpg12345": {"filename": "a.jpg", "size": 12345, "regions": [
        {"shape_attributes": {"name": "rect", "x": 10, "y": 20, "width": 100, "height": 200},
         "region_attributes": {"class": "cat"}}]}}

    filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes
    a.jpg,12345,"{}",1,0,"{""name"":""rect"",""x"":10,...}","{""class"":""cat""}"

Pixels from the image's upper left corner. Every shape becomes the box around it. People choose the
attributes' names: the class is in the one that is called like CLASS_NAMES, else in the one that
most regions have. Where no region has an attribute every object is called "object".
"""
import csv
import io
import json
from collections import Counter
from collections.abc import Iterator

from faster_rcnn.annotations.box_objects import Box, BoxObject
from faster_rcnn.annotations.files import (
    AnnotationError,
    OtherFormError,
    annotation_text,
    json_content,
    remembered,
)
from faster_rcnn.annotations.tables.image_table import (
    MAX_BYTES,
    ImageTable,
    as_list,
    box_around,
    numbers,
    texts_of,
)

CLASS_NAMES = ("class", "class_name", "label", "category", "type", "name", "object", "object_name")
ONLY_CLASS = "object"
# Where VIA 2 keeps the images in the file of a project
PROJECT = "_via_img_metadata"
# Columns of a table, and what JSON calls them
COLUMNS = {"region_shape_attributes": "shape_attributes", "region_attributes": "region_attributes"}
RADII = {"circle": ("cx", "cy", "r", "r"), "ellipse": ("cx", "cy", "rx", "ry")}


@remembered(MAX_BYTES, count=4)
def read_via(path: str) -> ImageTable:
    """The table of a file; AnnotationError when it is missing or of another form."""
    entries = _of_table(path) if path.lower().endswith(".csv") else _of_json(path)
    if not entries or not all(isinstance(entry, dict) and isinstance(entry.get("filename"), str)
                              for entry in entries):
        raise OtherFormError(f"{path}: of another form: VIA's has an entry with a filename and "
                             "regions for each image")
    table, key = ImageTable(path), _class_key(entries)
    objects: dict[str, list[BoxObject]] = {}
    for entry in entries:
        name = entry["filename"].strip()
        found = objects.setdefault(name, [])
        found += [_object(f"region {count} of {name}", region, key)
                  for count, region in enumerate(_regions(entry), len(found) + 1)]
    for name, found in objects.items():
        table.add(name, None, found)
    return table


def _of_json(path: str) -> list:
    """The entries of the images in a JSON file."""
    content = json_content(path, MAX_BYTES)
    if isinstance(content, dict) and isinstance(content.get(PROJECT), dict):
        content = content[PROJECT]
    return list(content.values()) if isinstance(content, dict) else []


def _of_table(path: str) -> list[dict]:
    """The same entries of a table, one for each row."""
    entries: list[dict] = []
    try:
        for row in csv.DictReader(io.StringIO(annotation_text(path, MAX_BYTES)), restval=""):
            region = {key: json.loads(row.get(column) or "{}") for column, key in COLUMNS.items()}
            entries.append({"filename": row.get("filename"),
                            "regions": [region] if region["shape_attributes"] else []})
    except (csv.Error, ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: row {len(entries) + 1} cannot be read ({error})") from None
    return entries


def _regions(entry: dict) -> Iterator[dict]:
    """The regions of an image: a list, or in VIA 1 a mapping of numbers."""
    regions = entry.get("regions")
    for region in regions.values() if isinstance(regions, dict) else as_list(regions):
        yield region if isinstance(region, dict) else {}


def _attributes(region: dict) -> dict:
    attributes = region.get("region_attributes")
    return attributes if isinstance(attributes, dict) else {}


def _class_key(entries: list[dict]) -> str | None:
    """The attribute that says the class; None where no region has an attribute."""
    counts = Counter(key for entry in entries for region in _regions(entry)
                     for key, value in _attributes(region).items() if texts_of(value))
    known = {str(key).strip().lower(): key for key in counts}
    usual = next((known[name] for name in CLASS_NAMES if name in known), None)
    return usual or next((key for key, _ in counts.most_common(1)), None)


def _object(place: str, region: dict, key: str | None) -> BoxObject:
    texts = texts_of(_attributes(region).get(key)) if key is not None else [ONLY_CLASS]
    shape = region.get("shape_attributes")
    box, problem = _box(shape if isinstance(shape, dict) else {})
    if len(texts) > 1:
        return BoxObject(place, texts[0], None, f"has several classes: {', '.join(texts)}")
    return BoxObject(place, texts[0] if texts else "", box, problem)


def _box(shape: dict) -> tuple[Box | None, str]:
    """(box, "") or (None, what is wrong)."""
    kind = str(shape.get("name"))
    if kind == "point":
        return None, "is a point, which has no box"
    if kind in RADII:
        values = numbers(shape, RADII[kind])
        if values is not None:
            x, y, rx, ry = values
            return (x - rx, y - ry, x + rx, y + ry), ""
    elif "all_points_x" in shape:
        box = box_around(shape.get("all_points_x"), shape.get("all_points_y"))
        if box is not None:
            return box, ""
    else:
        values = numbers(shape, ("x", "y", "width", "height"))
        if values is not None:
            x, y, width, height = values
            return (x, y, x + width, y + height), ""
    return None, f'is a shape "{kind}" whose numbers are missing or cannot be read'
