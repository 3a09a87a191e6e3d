"""Where the annotation of a picture is read from: a file of its own, or tables of many pictures."""
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from faster_rcnn.annotations.box_objects import BoxAnnotation
from faster_rcnn.annotations.check import Annotation
from faster_rcnn.annotations.csv_tables import CsvTable, read_csv
from faster_rcnn.annotations.cvat_xml import CvatFile, read_cvat
from faster_rcnn.annotations.labelme_json import read_labelme
from faster_rcnn.annotations.tables.create_ml import read_create_ml
from faster_rcnn.annotations.tables.image_table import ImageTable
from faster_rcnn.annotations.tables.label_studio import read_label_studio
from faster_rcnn.annotations.tables.open_images import read_open_images
from faster_rcnn.annotations.tables.via import read_via
from faster_rcnn.annotations.voc_xml import AnnotationError, read_annotation
from faster_rcnn.annotations.yolo_txt import read_yolo
from faster_rcnn.datasets.samples.pictures import PictureIndex

EXTENSIONS = {"voc": ".xml", "labelme": ".json", "yolo": ".txt"}
# The folders of annotation files where a card names none
FOLDERS = {"voc": ("Annotations", "annotations"), "labelme": ("annotations", "json"),
           "yolo": ("labels",)}
# Readers of files with many pictures
Table = CsvTable | CvatFile | ImageTable
READ: dict[str, Callable[[str], Table]] = {
    "csv": read_csv, "cvat": read_cvat, "via": read_via, "createml": read_create_ml,
    "labelstudio": read_label_studio, "openimages": read_open_images}


class Source(Protocol):
    """Gives the annotation of a picture."""

    def has(self, picture: str) -> bool:
        """Whether there is one."""

    def read(self, picture: str, size: tuple[int, int]) -> Annotation:
        """The annotation of a picture (width, height); AnnotationError when it cannot be read."""


class FileSource:
    """Annotations in a file per picture, of formats voc, labelme and yolo."""

    def __init__(self, form: str, root: str, folders: Sequence[str],
                 classes: Sequence[str]) -> None:
        self.form, self.root, self.classes = form, root, classes
        self.folders = tuple(folders) or FOLDERS[form]

    def find(self, picture: str) -> str | None:
        """The path of a picture's annotation file."""
        extension = EXTENSIONS[self.form]
        for stem in annotation_stems(self.root, self.folders, picture):
            for path in (stem + extension, stem + extension.upper()):
                for spelling in _spellings(path):
                    if os.path.isfile(spelling):
                        return spelling
        return None

    def has(self, picture: str) -> bool:
        """Whether there is an annotation file; YOLO has none for pictures without objects."""
        return self.find(picture) is not None

    def read(self, picture: str, size: tuple[int, int]) -> Annotation:
        """The annotation of a picture (width, height)."""
        path = self.find(picture)
        if self.form == "yolo":
            return (BoxAnnotation(picture, picture, None, ()) if path is None
                    else read_yolo(path, size, self.classes))
        if path is None:
            raise AnnotationError(f"{picture}: the annotation file of this picture is not there")
        return read_annotation(path) if self.form == "voc" else read_labelme(path)


def _spellings(path: str) -> tuple[str, ...]:
    """A path, and with its name as macOS and others write letters with accents."""
    folder, name = os.path.split(path)
    if name.isascii():
        return (path,)
    return path, *(os.path.join(folder, unicodedata.normalize(form, name))
                   for form in ("NFC", "NFD"))


def annotation_stems(root: str, folders: Sequence[str], picture: str) -> Iterator[str]:
    """Paths, without extension, where the annotation file of a picture may lie, best first.

    For folders ["labels"], images/train/a.jpg has labels/train/a, images/labels/a,
    labels/images/train/a, labels/a, images/train/labels/a, and at last images/train/a.
    """
    relative = os.path.relpath(picture, root)
    if relative.startswith(os.pardir):
        root, relative = os.sep, os.path.abspath(picture).lstrip(os.sep)
    stem = os.path.splitext(os.path.basename(picture))[0]
    parts = [part for part in os.path.dirname(relative).split(os.sep) if part]
    for folder in folders:
        for i in range(len(parts)):
            yield os.path.join(root, *parts[:i], folder, *parts[i + 1:], stem)
        yield os.path.join(root, folder, *parts, stem)
        yield os.path.join(root, folder, stem)
        yield os.path.join(root, *parts, folder, stem)
    yield os.path.join(root, *parts, stem)


class TableSource:
    """Annotations in files of many pictures; missing: [(file, name)] of pictures not found."""

    def __init__(self, form: str, paths: Iterable[str], index: PictureIndex) -> None:
        self.missing: list[tuple[str, str]] = []
        self._paths: dict[str, list[str]] = {}          # of the pictures, by file
        self._annotations: dict[str, BoxAnnotation] = {}
        for path in dict.fromkeys(paths):
            self._paths[path] = list(dict.fromkeys(self._found(form, path, index)))

    def _found(self, form: str, path: str, index: PictureIndex) -> Iterator[str]:
        """The pictures of a file."""
        annotations = READ[form](path).annotations
        found = index.find_all(annotations, os.path.dirname(path))
        for name, annotation in annotations.items():
            picture = found.get(name)
            if picture is None:
                self.missing.append((path, name))
                continue
            earlier = self._annotations.get(picture)
            self._annotations[picture] = annotation if earlier is None else BoxAnnotation(
                earlier.path, earlier.place, earlier.size, earlier.objects + annotation.objects)
            yield picture

    def pictures(self, path: str) -> list[str]:
        """The pictures that a file names, in its order."""
        return self._paths[path]

    def has(self, picture: str) -> bool:
        """Whether a file names the picture."""
        return picture in self._annotations

    def read(self, picture: str, size: tuple[int, int]) -> Annotation:
        """The annotation of a picture (width, height)."""
        if picture not in self._annotations:
            raise AnnotationError(f"{picture}: {', '.join(self._paths)} has no row of this picture")
        return self._annotations[picture].of_image(size)
