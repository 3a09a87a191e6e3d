"""Recognises formats with the annotations of many pictures in a file: CSV, CVAT's XML, the JSON of
VIA, CreateML and Label Studio, the tables of Open Images.
"""
import functools
import os
import re
from collections.abc import Callable, Iterable

from faster_rcnn.annotations.files import AnnotationError, OtherFormError
from faster_rcnn.annotations.tables.image_table import ImageTable
from faster_rcnn.datasets.samples.listed import lost_pictures
from faster_rcnn.datasets.samples.sources import READ, Table
from faster_rcnn.folders.folder import Folder, Found
from faster_rcnn.folders.split_names import split_of_path

# {file: (table, {name in it: path of the picture})}
Tables = dict[str, tuple[Table, dict[str, str]]]
CVAT_ROOT = re.compile(r"<annotations[\s>]")
VIA_COLUMN = "region_shape_attributes"
JSON_KEYS = {
    "via": re.compile(r'"(_via_img_metadata|shape_attributes)"\s*:'),
    "createml": re.compile(r'"coordinates"\s*:\s*\{'),
    "labelstudio": re.compile(r'"(\w+labels|completed_by|was_cancelled|annotation_id)"\s*:')}
OPEN_IMAGES_ROW = re.compile(r"^ImageID,.*LabelName,.*XMin,")


def find_csv(folder: Folder) -> Found | None:
    """Pictures that tables name with boxes; a table for each split, or all tables."""
    tables = _tables(folder, "csv", (name for name in folder.with_extension(".csv", ".tsv")
                                     if not OPEN_IMAGES_ROW.match(folder.head(name))))
    if not tables:
        return None
    splits: dict[str, tuple[str, ...]] = {}
    for name in tables:
        split = split_of_path(name)
        if split is not None:
            splits[split] = (*splits.get(split, ()), name)
    used = ([name for names in splits.values() for name in names] if len(splits) > 1
            else _covering(tables))
    notes = [f"the table {name} is not used: the pictures it names are in others"
             for name in tables if name not in used]
    return _found(folder, "csv", {name: tables[name] for name in used},
                  splits if len(splits) > 1 else {}, notes)


def find_cvat(folder: Folder) -> Found | None:
    """Pictures that XML files of "CVAT for images" name."""
    return _found(folder, "cvat", _tables(folder, "cvat", (
        name for name in folder.with_extension(".xml") if CVAT_ROOT.search(folder.head(name)))))


def find_via(folder: Folder) -> Found | None:
    """Pictures that files of the VGG Image Annotator name."""
    names = [name for name in folder.with_extension(".csv") if VIA_COLUMN in folder.head(name)]
    return _found(folder, "via", _tables(folder, "via", [*_json(folder)["via"], *names]))


def find_create_ml(folder: Folder) -> Found | None:
    """Pictures that CreateML's files name."""
    return _found(folder, "createml", _tables(folder, "createml", _json(folder)["createml"]))


def find_label_studio(folder: Folder) -> Found | None:
    """Pictures that Label Studio's files name."""
    return _found(folder, "labelstudio",
                  _tables(folder, "labelstudio", _json(folder)["labelstudio"]))


def find_open_images(folder: Folder) -> Found | None:
    """Pictures that tables of Open Images name."""
    return _found(folder, "openimages", _tables(folder, "openimages", (
        name for name in folder.with_extension(".csv")
        if OPEN_IMAGES_ROW.match(folder.head(name)))))


FINDERS: dict[str, Callable[[Folder], Found | None]] = {
    "cvat": find_cvat, "via": find_via, "createml": find_create_ml,
    "labelstudio": find_label_studio, "openimages": find_open_images, "csv": find_csv}


@functools.lru_cache(maxsize=1)
def _json(folder: Folder) -> dict[str, list[str]]:
    """{format: JSON files with its key at their beginning or end}."""
    found: dict[str, list[str]] = {form: [] for form in JSON_KEYS}
    for name in folder.with_extension(".json"):
        head, tail = folder.head(name), folder.tail(name)
        for form, key in JSON_KEYS.items():
            if key.search(head) or key.search(tail):
                found[form].append(name)
    return found


def _tables(folder: Folder, form: str, names: Iterable[str]) -> Tables:
    """The files that name pictures, and objects in some."""
    found: Tables = {}
    for name in names:
        try:
            table = READ[form](folder.path(name))
        except OtherFormError as error:
            folder.doubt(str(error))
            continue
        except AnnotationError as error:
            folder.refuse(form, str(error))
            continue
        if not any(one.objects for one in table.annotations.values()):
            continue
        pictures = folder.index.find_all(table.annotations, os.path.dirname(table.path))
        if pictures:
            found[name] = table, pictures
        else:
            lost = lost_pictures(list(table.annotations), folder.index)
            folder.refuse(form, f"{table.path} {lost}")
    return found


def _covering(tables: Tables) -> list[str]:
    """The tables that name pictures which larger ones do not."""
    used, covered = [], set[str]()
    for name in sorted(tables, key=lambda name: -len(tables[name][1])):
        pictures = tables[name][1].values()
        if not covered.issuperset(pictures):
            used.append(name)
            covered.update(pictures)
    return sorted(used)


def _found(folder: Folder, form: str, tables: Tables,
           splits: dict[str, tuple[str, ...]] | None = None,
           notes: Iterable[str] = ()) -> Found | None:
    """What the files of a format tell; splits: {name: files} where they say them."""
    if not tables:
        return None
    said = list(notes)
    for name, (table, pictures) in tables.items():
        lost = [image for image in table.annotations if image not in pictures]
        if lost:
            said.append(f"{name} {lost_pictures(lost, folder.index)}: left out")
        said += table.notes if isinstance(table, ImageTable) else []
    paths = tuple(dict.fromkeys(path for _, pictures in tables.values()
                                for path in pictures.values()))
    return Found(form, paths, len(paths), () if splits else tuple(tables), splits=splits or {},
                 notes=tuple(said))
