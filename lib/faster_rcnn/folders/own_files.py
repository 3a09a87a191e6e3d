"""Recognises formats with an annotation file per picture: VOC's XML and LabelMe's JSON."""
import os
import re
from collections.abc import Callable

from faster_rcnn.datasets.samples.sources import FileSource
from faster_rcnn.folders.folder import Folder, Found

VOC_ROOT = re.compile(r"<(\w+:)?annotation[\s>]", re.IGNORECASE)
LABELME_KEY = re.compile(r'"shapes"\s*:')
BESIDE = "."


def find_voc(folder: Folder) -> Found | None:
    """Pictures with XML files of VOC's form, in any folders."""
    return _find(folder, "voc", ".xml", lambda head: bool(VOC_ROOT.search(head)))


def find_labelme(folder: Folder) -> Found | None:
    """Pictures with JSON files of LabelMe's form, in any folders."""
    return _find(folder, "labelme", ".json", lambda head: bool(LABELME_KEY.search(head)))


def _find(folder: Folder, form: str, extension: str, fits: Callable[[str], bool]) -> Found | None:
    """The pictures with annotation files of an extension whose beginning fits."""
    names = [name for name in folder.with_extension(extension)
             if fits(folder.head(name)) or fits(_tail(folder, name, form))]
    if not names:
        return None
    folders = tuple(sorted({os.path.basename(os.path.dirname(name)) or BESIDE for name in names}))
    source = FileSource(form, folder.root, folders, ())
    files = {folder.path(name) for name in names}
    pairs = {picture: path for picture in folder.pictures
             if (path := source.find(picture)) is not None and os.path.normpath(path) in files}
    if not pairs:
        return None
    notes = []
    orphans = sorted(files - set(map(os.path.normpath, pairs.values())))
    if orphans:
        notes.append(f"{len(orphans)} annotation files belong to no picture, such as "
                     f"{folder.name(orphans[0])}")
    alone = [picture for picture in folder.pictures if picture not in pairs]
    if alone:
        notes.append(f"{len(alone)} pictures have no annotation file and are left out, such as "
                     f"{folder.name(alone[0])}")
    return Found(form, tuple(pairs), len(pairs), folders, notes=tuple(notes))


def _tail(folder: Folder, name: str, form: str) -> str:
    """The end of a JSON file, in which keys may stand behind the picture."""
    if form == "voc":
        return ""
    path = folder.path(name)
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - (1 << 16)))
            return file.read().decode("utf-8", "ignore")
    except OSError:
        return ""
