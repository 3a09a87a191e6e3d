"""Recognises formats with the annotations of many pictures in a file: CSV and CVAT's XML."""
import os
import re

from faster_rcnn.annotations.csv_tables import CsvTable, read_csv
from faster_rcnn.annotations.cvat_xml import CvatFile, read_cvat
from faster_rcnn.annotations.files import AnnotationError
from faster_rcnn.folders.folder import Folder, Found
from faster_rcnn.folders.split_names import split_of

CVAT_ROOT = re.compile(r"<annotations[\s>]")


def find_csv(folder: Folder) -> Found | None:
    """Pictures that tables name with boxes."""
    tables = {}
    for name in folder.with_extension(".csv", ".tsv"):
        try:
            table = read_csv(folder.path(name))
        except AnnotationError:
            continue
        pictures = _pictures(folder, table)
        if pictures and any(one.objects for one in table.annotations.values()):
            tables[name] = pictures
    if not tables:
        return None
    splits: dict[str, tuple[str, ...]] = {}
    for name in tables:
        split = split_of(os.path.splitext(os.path.basename(name))[0])
        if split is not None:
            splits[split] = (*splits.get(split, ()), name)
    used = ([name for names in splits.values() for name in names] if len(splits) > 1
            else [max(tables, key=lambda name: len(tables[name]))])
    notes = [f"the table {name} is not used" for name in tables if name not in used]
    paths = tuple(dict.fromkeys(path for name in used for path in tables[name]))
    return Found("csv", paths, len(paths), () if len(splits) > 1 else tuple(used),
                 splits=splits if len(splits) > 1 else {}, notes=tuple(notes))


def find_cvat(folder: Folder) -> Found | None:
    """Pictures that XML files of "CVAT for images" name."""
    used, notes = {}, []
    for name in folder.with_extension(".xml"):
        if not CVAT_ROOT.search(folder.head(name)):
            continue
        try:
            file = read_cvat(folder.path(name))
        except AnnotationError as error:
            notes.append(str(error))
            continue
        pictures = _pictures(folder, file)
        if pictures:
            used[name] = pictures
    if not used:
        return None
    paths = tuple(dict.fromkeys(path for found in used.values() for path in found))
    return Found("cvat", paths, len(paths), tuple(used), notes=tuple(notes))


def _pictures(folder: Folder, table: CsvTable | CvatFile) -> list[str]:
    """Paths of the pictures that a table names and that are there."""
    near = os.path.dirname(table.path)
    return list(filter(None, (folder.index.find(name, near) for name in table.annotations)))
