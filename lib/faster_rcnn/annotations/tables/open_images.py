"""Tables of Open Images: a row per box, in shares of the image's width and height.

    ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,...
    000002b66c9c498e,xclick,/m/01g317,1,0.012500,0.195312,0.148438,0.587500,0,1,0,...

The names of the labels are in a table class-descriptions*.csv in the same folder or the one above;
a label without name is called by itself. Boxes around a group (IsGroupOf) count as difficult.
"""
import csv
import glob
import io
import os
from collections.abc import Iterator

from faster_rcnn.annotations.box_objects import Box, ShareObject
from faster_rcnn.annotations.csv_tables import MAX_BYTES, MAX_ROWS
from faster_rcnn.annotations.files import (
    AnnotationError,
    OtherFormError,
    annotation_text,
    remembered,
)
from faster_rcnn.annotations.tables.image_table import ImageTable, numbers
from faster_rcnn.annotations.values import truth

COLUMNS = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax")
DESCRIPTIONS = "*class-descriptions*.csv"


@remembered(MAX_BYTES, count=8)
def read_open_images(path: str) -> ImageTable:
    """The table of a file; AnnotationError when it is missing or of another form."""
    table, names = ImageTable(path), _class_names(path)
    objects: dict[str, list] = {}
    for line, row in _rows(path):
        label = row["LabelName"].strip()
        objects.setdefault(row["ImageID"].strip(), []).append(
            ShareObject(f"line {line}", names.get(label, label), *_box(row),
                        difficult=bool(truth(row.get("IsGroupOf")))))
    for name, found in objects.items():
        table.add(name, None, found)
    return table


def _rows(path: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, {column: text}) of the rows; COLUMNS are there."""
    reader = csv.DictReader(io.StringIO(annotation_text(path, MAX_BYTES)), restval="")
    try:
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise OtherFormError(f"{path}:1: no table of Open Images: no column {missing[0]}")
        for count, row in enumerate(reader):
            if count > MAX_ROWS:
                raise AnnotationError(f"{path}: more than {MAX_ROWS} rows, which is the limit")
            yield reader.line_num, row
    except csv.Error as error:
        raise AnnotationError(f"{path}:{reader.line_num}: not a table ({error})") from None


def _box(row: dict[str, str]) -> tuple[Box | None, str]:
    """(box, "") or (None, what is wrong)."""
    values = numbers(row, ("XMin", "YMin", "XMax", "YMax"))
    if values is None:
        return None, "has no XMin, YMin, XMax and YMax that are numbers"
    return (values[0], values[1], values[2], values[3]), ""


def _class_names(path: str) -> dict[str, str]:
    """{label: name} of the tables of descriptions near a table; empty for none."""
    folder = os.path.dirname(os.path.abspath(path))
    names: dict[str, str] = {}
    for place in (os.path.dirname(folder), folder):
        for found in sorted(glob.glob(os.path.join(glob.escape(place), DESCRIPTIONS))):
            rows = csv.reader(io.StringIO(annotation_text(found, MAX_BYTES)))
            try:
                names.update({row[0].strip(): row[1].strip() for row in rows
                              if len(row) == 2 and row[1].strip()})
            except csv.Error as error:
                raise AnnotationError(f"{found}:{rows.line_num}: not a table ({error})") from None
    return names
