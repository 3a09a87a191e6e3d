"""Recognises formats with an annotation file per picture: VOC's XML and LabelMe's JSON."""
import os
import re
from collections.abc import Callable

from faster_rcnn.datasets.samples.sources import FileSource
from faster_rcnn.folders.folder import Folder, Found

VOC_ROOT = re.compile(r"<(\w+:)?annotation[\s>]", re.IGNORECASE)
LABELME_KEY = re.compile(r'"shapes"\s*:')
BESIDE = "."
# Names of folders that are tried
MAX_FOLDERS = 30


def find_voc(folder: Folder) -> Found | None:
    """Pictures with XML files of VOC's form, in any folders."""
    return _find(folder, "voc", ".xml", lambda head: bool(VOC_ROOT.search(head)))


def find_labelme(folder: Folder) -> Found | None:
    """Pictures with JSON files of LabelMe's form, in any folders."""
    return _find(folder, "labelme", ".json", lambda head: bool(LABELME_KEY.search(head)))


def _find(folder: Folder, form: str, extension: str, fits: Callable[[str], bool]) -> Found | None:
    """The pictures with annotation files of an extension whose beginning fits."""
    names = [name for name in folder.with_extension(extension)
             if fits(folder.head(name)) or (form != "voc" and fits(folder.tail(name)))]
    if not names:
        return None
    files = {folder.path(name) for name in names}
    folders, pairs = _folders(folder, form, files)
    if not pairs:
        return None
    notes = []
    orphans = sorted(files - set(pairs.values()))
    if orphans:
        notes.append(f"{len(orphans)} annotation files belong to no picture, such as "
                     f"{folder.name(orphans[0])}")
    alone = [picture for picture in folder.pictures if picture not in pairs]
    if alone:
        notes.append(f"{len(alone)} pictures have no annotation file and are left out, such as "
                     f"{folder.name(alone[0])}")
    return Found(form, tuple(pairs), len(pairs), folders, notes=tuple(notes))


def _folders(folder: Folder, form: str, files: set[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Names of the folders, as a card has them, by which pictures find their files, and {picture:
    file}: first the name by which most do, then those by which others do.
    """
    parts = {part for path in files for part in os.path.dirname(folder.name(path)).split(os.sep)}
    candidates = [BESIDE, *sorted(parts - {""})][:MAX_FOLDERS]
    found: dict[str, dict[str, str]] = {}
    for name in candidates:
        source = FileSource(form, folder.root, (name,), ())
        paths = ((picture, source.find(picture)) for picture in folder.pictures)
        found[name] = {picture: os.path.normpath(path) for picture, path in paths
                       if path is not None and os.path.normpath(path) in files}
    used: list[str] = []
    pairs: dict[str, str] = {}
    while True:
        gains = {name: len(found[name].keys() - pairs.keys()) for name in candidates}
        best = max(candidates, key=lambda name: gains[name])
        if not gains[best]:
            return tuple(used), {picture: pairs[picture] for picture in folder.pictures
                                 if picture in pairs}
        used.append(best)
        pairs = {**found[best], **pairs}
