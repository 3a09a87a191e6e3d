"""The pictures of a split that lists, folders or tables name by path."""
import collections
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from faster_rcnn.annotations.check import Annotation
from faster_rcnn.annotations.csv_tables import read_csv
from faster_rcnn.annotations.files import AnnotationError
from faster_rcnn.annotations.problems import Problem, report
from faster_rcnn.datasets.cards.card import Card, CardError
from faster_rcnn.datasets.samples.pictures import PictureIndex, pictures_below
from faster_rcnn.datasets.samples.sources import READ, FileSource, Source, TableSource
from faster_rcnn.datasets.samples.voc_files import MAX_LIST_BYTES, left_out_images
from faster_rcnn.files.reading import EncodingError, FileError, read_text
from faster_rcnn.images.reading import ImageError, image_fault


@dataclass(frozen=True)
class ListedSample:
    """A picture of a split; its id is its path below the root."""

    image_id: str
    path: str
    source: Source

    def image_path(self, extensions: object = None) -> str | None:
        """Path of the picture; None when it is not there."""
        return self.path if os.path.exists(self.path) else None

    def required_image_path(self, extensions: object = None) -> str:
        """As image_path; ImageError when it is not there."""
        if not os.path.exists(self.path):
            raise ImageError(f"image {self.path} is not there")
        return self.path

    def has_annotation(self) -> bool:
        """Whether there is an annotation."""
        return self.source.has(self.path)

    def annotation(self, size: tuple[int, int] | None) -> Annotation:
        """The annotation; size: (width, height) of the picture."""
        if size is None:
            raise ImageError(f"image {self.path} is not there")
        return self.source.read(self.path, size)


def read_listed(card: Card, split: str) -> tuple[list[ListedSample], list[Problem]]:
    """The ListedSamples of a split, in the order of its files, and the Problems found.

    Pictures named twice count once, those missing or broken are left out; both are reported.
    """
    root, places = card.roots[0], [path for _, path in card.split_files(split)]
    if not os.path.isdir(root):
        raise CardError(f"data set {card.name}: the folder {root} does not exist; put or link the "
                        f"data there{f', or change root in {card.path}' if card.path else ''}")
    for path in places:
        if not os.path.exists(path):
            raise CardError(f"data set {card.name}: split {split} needs {path}, which does not "
                            f"exist; splits on the card: {', '.join(card.splits) or 'none'}")
    index = PictureIndex(root)
    try:
        source = source_of(card, places, index)
    except AnnotationError as error:
        raise CardError(f"data set {card.name}: {error}") from None
    paths, missing, problems = _named(card, places, source, index)
    if not paths:
        what = f"none of the {len(missing)} pictures named is there" if missing else (
            "no picture is named")
        raise CardError(f"data set {card.name}: split {split}: {what} ({', '.join(places)})")
    faults = [(place, f"image {name} of split {split} is missing") for place, name in missing]
    broken = {path: fault for path in paths if (fault := image_fault(path))}
    faults += [(path, fault) for path, fault in broken.items()]
    problems += left_out_images(card, faults)
    problems += _lost(source, places, index)
    report(problems, f"{card.name}_{split}")
    return [ListedSample(_image_id(path, root), path, source) for path in paths
            if path not in broken], problems


def _lost(source: Source, places: Iterable[str], index: PictureIndex) -> list[Problem]:
    """A Problem for each file of annotations that names pictures which are not there."""
    if not isinstance(source, TableSource):
        return []
    names: dict[str, list[str]] = {}
    for path, name in source.missing:
        if path not in places:      # pictures of places are named one by one
            names.setdefault(path, []).append(name)
    return [Problem(path, "", lost_pictures(lost, index), "not used")
            for path, lost in names.items()]


def lost_pictures(names: Sequence[str], index: PictureIndex) -> str:
    """What is wrong with the pictures that a file names and that were not found."""
    return (f"names {len(names)} picture{'s' * (len(names) > 1)} that cannot be found, such as "
            f"{names[0]}, which {index.fault(names[0])}")


def source_of(card: Card, places: Iterable[str], index: PictureIndex) -> Source:
    """Where the annotations of a card's pictures are read from; places: what names the pictures."""
    root = card.roots[0]
    if card.format not in READ:
        return FileSource(card.format, root, card.annotations, card.classes)
    files = [os.path.join(root, name) for name in card.annotations]
    files += [path for path in places if card.format == "csv" and is_table(path)]
    if not files:
        raise CardError(f"data set {card.name}: a table is needed, as a split or in "
                        "\"annotations\"")
    return TableSource(card.format, files, index)


def is_table(path: str) -> bool:
    """Whether what names pictures is a table."""
    return path.lower().endswith((".csv", ".tsv"))


def _named(card: Card, places: Iterable[str], source: Source, index: PictureIndex
           ) -> tuple[list[str], list[tuple[str, str]], list[Problem]]:
    """Paths of the pictures that places name, [(place, name)] of those missing, and Problems."""
    found: list[str] = []
    missing: list[tuple[str, str]] = []
    problems = []
    for place in places:
        if os.path.isdir(place):
            found += pictures_below(place)
        elif isinstance(source, TableSource) and is_table(place):
            found += source.pictures(place)
            missing += [(path, name) for path, name in source.missing if path == place]
        else:
            listed, lost = read_list(card.name, place, index)
            found += listed
            missing += [(place, name) for name in lost]
            counts = collections.Counter(listed)
            problems += [Problem(place, "", f"names image {path} {count} times", "used once")
                         for path, count in counts.items() if count > 1]
    return list(dict.fromkeys(found)), missing, problems


def read_list(name: str, path: str, index: PictureIndex) -> tuple[list[str], list[str]]:
    """The pictures that a list or table names, and the names of others; name: of the data set."""
    try:
        lines = (list(read_csv(path).annotations) if is_table(path)
                 else read_text(path, MAX_LIST_BYTES).split("\n"))
    except (FileError, EncodingError, AnnotationError) as error:
        raise CardError(f"data set {name}: {error}") from None
    near, found, lost = os.path.dirname(path), [], []
    for line in filter(None, map(str.strip, lines)):
        picture = index.find(line, near) or index.find(line.split()[0], near)
        if picture is None:
            lost.append(line)
        else:
            found.append(picture)
    return found, lost


def _image_id(path: str, root: str) -> str:
    relative = os.path.relpath(path, root)
    return path if relative.startswith(os.pardir) else relative
