"""Tables of objects (CSV), a row per object: an image's name, a box, a class.

With a line of column names the columns may have any order, and further ones are ignored; known
names are in COLUMNS. Columns xmin, ymin, xmax, ymax are pixels as VOC counts them (the tables of
TensorFlow's tutorials are made from VOC's XML); x1, y1, x2, y2 are edges between pixels, from 0, as
RetinaNet takes them. Without names the columns are path, x1, y1, x2, y2, class. A row whose box and
class are empty names an image without objects. Where no number is larger than MAX_SHARE and some
have fractions, all are shares of the image's width and height. Tables with semicolons may have
decimal commas.
"""
import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from faster_rcnn.annotations.box_objects import (
    BoxAnnotation,
    BoxObject,
    OneBasedObject,
    ShareObject,
)
from faster_rcnn.annotations.files import (
    AnnotationError,
    OtherFormError,
    annotation_text,
    remembered,
)
from faster_rcnn.annotations.values import as_number, whole_number

MAX_BYTES, MAX_ROWS = 256 << 20, 2_000_000
COLUMNS = {
    "image": ("image", "filename", "file_name", "image_path", "imagepath", "path", "file",
              "image_name", "image_id", "imageid", "img", "img_path", "frame"),
    "class": ("class", "class_name", "classname", "label", "label_name", "labelname", "category",
              "name", "class_id"),
    "x1": ("x1", "xmin", "x_min", "left"), "y1": ("y1", "ymin", "y_min", "top"),
    "x2": ("x2", "xmax", "x_max", "right"), "y2": ("y2", "ymax", "y_max", "bottom"),
}
# Of the image; ignored unless both are whole numbers
SIZE = ("width", "height")
VOC_NAMES = ("xmin", "x_min")
CORNERS = ("x1", "y1", "x2", "y2")
# A box of shares may reach beyond the image; boxes of pixels all so small are none
MAX_SHARE = 1.5
NO_NAMES = {"image": 0, "x1": 1, "y1": 2, "x2": 3, "y2": 4, "class": 5}


@dataclass(frozen=True)
class CsvTable:
    """A table: annotations by the image's name as written, in the order of the file."""

    path: str
    annotations: dict[str, BoxAnnotation]


@remembered(MAX_BYTES, count=8)
def read_csv(path: str) -> CsvTable:
    """The table of a file; AnnotationError when it is missing or not a table of boxes."""
    text = annotation_text(path, MAX_BYTES)
    rows = _rows(path, text)
    first = next(rows, None)
    if first is None:
        raise AnnotationError(f"{path}: the table is empty")
    columns = named_columns(first[1])
    form = _Form(columns or NO_NAMES, is_one_based(first[1]), _delimiter(text) == ";",
                 set(SIZE) <= (columns or NO_NAMES).keys())
    if columns is None and not _is_unnamed(first[1], form):
        raise OtherFormError(f"{path}:{first[0]}: neither names of columns (such as filename, "
                             "class, xmin, ymin, xmax, ymax) nor a row path, x1, y1, x2, y2, "
                             f"class, but {_shown(first[1])}")
    objects: dict[str, list[BoxObject]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for number, row in rows if columns else itertools.chain([first], rows):
        _add(row, number, form, objects, sizes)
    if _are_shares(obj.box for found in objects.values() for obj in found):
        objects = {name: [_as_shares(obj) for obj in found] for name, found in objects.items()}
    return CsvTable(path, {name: BoxAnnotation(path, name, sizes.get(name), tuple(found))
                           for name, found in objects.items()})


@dataclass(frozen=True)
class _Form:
    """columns: {what: index}; one_based: whether pixels count from 1; decimal_comma: for ".";
    has_size: whether there are columns of the image's size.
    """

    columns: dict[str, int]
    one_based: bool
    decimal_comma: bool
    has_size: bool

    def number(self, text: str) -> float | None:
        """The number in a cell; None for none."""
        return as_number(text.replace(",", ".", 1) if self.decimal_comma else text)


def _shown(cells: Sequence[str]) -> str:
    """A row as a message shows it: in a line, with an end."""
    text = " ".join(", ".join(cells).split())
    return text if len(text) <= 100 else text[:100] + "..."


def _are_shares(boxes: Iterable[Sequence[float] | None]) -> bool:
    """Whether boxes can only be shares of their images."""
    values = [value for box in boxes if box is not None for value in box]
    return (bool(values) and max(values) <= MAX_SHARE
            and not all(float(value).is_integer() for value in values))


def _as_shares(obj: BoxObject) -> ShareObject:
    return ShareObject(obj.place, obj.name, obj.box, obj.problem)


def _delimiter(text: str) -> str:
    """What separates cells, as the first line with content shows it."""
    line = text.lstrip().split("\n", 1)[0]
    return max(",;\t", key=line.count)


def _rows(path: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, stripped cells) of the rows with content."""
    reader = csv.reader(io.StringIO(text), delimiter=_delimiter(text))
    try:
        for count, cells in enumerate(reader):
            if count > MAX_ROWS:
                raise AnnotationError(f"{path}: more than {MAX_ROWS} rows, which is the limit")
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise AnnotationError(f"{path}:{reader.line_num}: not a table ({error})") from None


def named_columns(cells: Sequence[str]) -> dict[str, int] | None:
    """{what: index} of a line of column names, see COLUMNS; None when it is none."""
    names = [cell.lower().replace(" ", "_") for cell in cells]
    columns = {}
    for what, known in COLUMNS.items():
        found = [name for name in known if name in names]
        if not found:
            return None
        columns[what] = names.index(found[0])
    columns.update({what: names.index(what) for what in SIZE if what in names})
    return columns


def is_one_based(cells: Sequence[str]) -> bool:
    """Whether the names of columns are VOC's."""
    return any(cell.lower() in VOC_NAMES for cell in cells)


def _is_unnamed(cells: Sequence[str], form: _Form) -> bool:
    """Whether a row is path, x1, y1, x2, y2, class, or names an image without objects."""
    box = cells[1:5]
    return (len(cells) == 6 and bool(cells[0])
            and (all(form.number(cell) is not None for cell in box) or not any(cells[1:])))


def _add(row: Sequence[str], number: int, form: _Form, objects: dict[str, list[BoxObject]],
         sizes: dict[str, tuple[int, int]]) -> None:
    """Adds a row to the objects of its image."""
    cells = {what: row[index] if index < len(row) else "" for what, index in form.columns.items()}
    found = objects.setdefault(cells["image"], [])
    if form.has_size:
        width, height = (whole_number(cells[what]) for what in SIZE)
        if width is not None and height is not None:
            sizes.setdefault(cells["image"], (width, height))
    texts = [cells[what] for what in CORNERS]
    if not any(texts) and not cells["class"]:
        return
    values = [form.number(text) for text in texts]
    box = [value for value in values if value is not None]
    problem = "" if len(box) == len(CORNERS) else next(
        f'has {what} "{text[:20]}", which is not a number' if text else f"has no {what}"
        for what, text, value in zip(CORNERS, texts, values) if value is None)
    kind = OneBasedObject if form.one_based else BoxObject
    found.append(kind(f"line {number}", cells["class"],
                      None if problem else (box[0], box[1], box[2], box[3]), problem))
