"""Pictures and annotation files of a data set's folders that belong to nothing."""
import os
from collections.abc import Iterable, Sequence
from typing import Any

from faster_rcnn.annotations.problems import Problem
from faster_rcnn.datasets.cards import Card
from faster_rcnn.datasets.samples.pictures import is_picture, pictures_below
from faster_rcnn.datasets.samples.sources import EXTENSIONS, FileSource
from faster_rcnn.folders.yolo import NAME_FILES

UNLISTED = "images that no split names"
UNANNOTATED = "images without an annotation that no split names"


def find_orphans(imdbs: Sequence[Any], known: Iterable[Problem]) -> list[Problem]:
    """Annotation files without a picture; pictures that no split names go to the first one's notes.

    imdbs: all splits of a card that are there; known: files and pictures that these name are not
    named again.
    """
    card, used = imdbs[0].card, set()
    for imdb in imdbs:
        used |= {os.path.realpath(imdb.image_path_at(i)) for i in range(imdb.num_images)}
    said = "\n".join(str(problem) for problem in known)
    problems: list[Problem] = []
    for root in card.roots:
        pictures, source = _pictures(card, root), _source(card, root)
        files = {os.path.normpath(path) for path in map(source.find, pictures)
                 if path is not None} if source else set()
        for path in pictures:
            if os.path.realpath(path) not in used and path not in said:
                without = source is not None and not source.has(path)
                imdbs[0].notes.setdefault(UNANNOTATED if without else UNLISTED, []).append(
                    (path, ""))
        for path in _annotation_files(card, root, source):
            if path not in files and os.path.splitext(os.path.basename(path))[0] not in said:
                problems.append(Problem(path, "", "is an annotation file without a picture",
                                        "not used"))
    return problems


def _pictures(card: Card, root: str) -> list[str]:
    if card.is_listed:
        return pictures_below(root)
    folders = ([os.path.join(root, "JPEGImages")] if card.format == "voc"
               else [card.coco_files(split)[1] for split in card.split_names()
                     if card.has_split(split)])
    return [path for folder in dict.fromkeys(folders) if os.path.isdir(folder)
            for path in pictures_below(folder)]


def _source(card: Card, root: str) -> FileSource | None:
    if card.format not in EXTENSIONS:
        return None
    return FileSource(card.format, root, card.annotations, card.classes)


def _annotation_files(card: Card, root: str, source: FileSource | None) -> list[str]:
    """The files, in folders that hold annotation files alone, with the format's extension."""
    if source is None:
        return []
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        parts = os.path.relpath(folder, root).split(os.sep)
        if set(parts) & set(source.folders) and not any(map(is_picture, names)):
            found += [os.path.normpath(os.path.join(folder, name)) for name in names
                      if name.lower().endswith(EXTENSIONS[card.format])
                      and name not in NAME_FILES]
    return sorted(found)
