"""The files of a data set in VOC layout: which images a split has, and where they lie."""
import collections
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from faster_rcnn.annotations.check import Annotation
from faster_rcnn.annotations.problems import Problem, report
from faster_rcnn.annotations.voc_xml import read_annotation
from faster_rcnn.datasets.cards.card import Card, CardError
from faster_rcnn.files.reading import EncodingError, FileError, read_text
from faster_rcnn.images.reading import ImageError, image_fault

# Of an image list; a million names have some 20 MB
MAX_LIST_BYTES = 256 << 20


@dataclass(frozen=True)
class Sample:
    """An image of a split: its id, and the folder that holds JPEGImages and Annotations."""

    image_id: str
    root: str

    @property
    def annotation_path(self) -> str:
        """Path of the annotation file, whether it exists or not."""
        return os.path.join(self.root, "Annotations", self.image_id + ".xml")

    def image_path(self, extensions: Sequence[str]) -> str | None:
        """Path of the image, with the first extension that exists; None when there is none."""
        stem = os.path.join(self.root, "JPEGImages", self.image_id)
        return next((stem + ext for ext in extensions if os.path.exists(stem + ext)), None)

    def required_image_path(self, extensions: Sequence[str]) -> str:
        """As image_path; ImageError when there is none."""
        path = self.image_path(extensions)
        if path is None:
            folder = os.path.join(self.root, "JPEGImages")
            raise ImageError(f"image {self.image_id} is not in {folder} (looked for "
                             f"{', '.join(extensions)})")
        return path

    def has_annotation(self) -> bool:
        """Whether the annotation file exists."""
        return os.path.exists(self.annotation_path)

    def annotation(self, size: tuple[int, int] | None) -> Annotation:
        """What the annotation file says, whatever the image's size."""
        return read_annotation(self.annotation_path)


def read_split(card: Card, split: str) -> tuple[list[Sample], list[Problem]]:
    """The Samples of a split, in the order of its files, and the Problems found.

    Images named twice count once and images whose file is missing or broken are left out, both
    reported (an error if the card says so). When no image file exists at all, every image stays:
    the first reader of an image names what is missing.
    """
    samples, problems = [], []
    for root, list_path in card.split_files(split):
        ids = _read_ids(card, split, root, list_path)
        counts = collections.Counter(ids)
        samples += [Sample(image_id, root) for image_id in counts]
        problems += [Problem(list_path, "", f"names image {image_id} {count} times", "used once")
                     for image_id, count in counts.items() if count > 1]
    _require_distinct(card, samples)
    faults = {sample: fault for sample in samples if (fault := _fault(card, split, sample))}
    if len(faults) < len(samples):
        problems += left_out_images(card, faults.values())
        samples = [sample for sample in samples if sample not in faults]
    report(problems, f"{card.name}_{split}")
    return samples, problems


def left_out_images(card: Card, faults: Iterable[tuple[str, str]]) -> list[Problem]:
    """The Problems of images that are left out; ImageError when the card says so.

    faults: (path, what is wrong) of each.
    """
    for path, rule in faults if card.on_bad_image == "error" else ():
        raise ImageError(f"{path}: {rule}; mend or remove it, or set on_bad_image: skip on the "
                         "data set's card")
    return [Problem(path, "", rule, "image left out") for path, rule in faults]


def _fault(card: Card, split: str, sample: Sample) -> tuple[str, str] | None:
    """(path, what is wrong) of a sample's image; None when nothing is wrong."""
    path = sample.image_path(card.image_ext)
    if path is None and card.on_bad_image == "error":
        sample.required_image_path(card.image_ext)
    if path is None:
        return (os.path.join(sample.root, "JPEGImages"),
                f"image {sample.image_id} of split {split} is missing")
    fault = image_fault(path)
    return (path, fault) if fault else None


def _read_ids(card: Card, split: str, root: str, path: str) -> list[str]:
    if not os.path.isdir(root):
        raise CardError(f"data set {card.name}: the folder {root} does not exist; put or link the "
                        f"data there{f', or change root in {card.path}' if card.path else ''}")
    if not os.path.lexists(path):
        raise CardError(f"data set {card.name}: split {split} needs {path}, which does not exist; "
                        f"splits that exist: {', '.join(_existing_splits(root)) or 'none'}")
    try:
        lines = read_text(path, MAX_LIST_BYTES).split("\n")
    except (FileError, EncodingError) as error:
        raise CardError(f"data set {card.name}: {error}") from None
    ids = [_image_id(card, root, line.strip()) for line in lines if line.strip()]
    if not ids:
        raise CardError(f"data set {card.name}: {path} names no image")
    return ids


def _image_id(card: Card, root: str, line: str) -> str:
    """The id in a line of an image list: the line itself, where there is an image of this name.

    Otherwise the name is looked for without its extension, without the folder JPEGImages, and
    without the further columns that VOC's lists of a class have.
    """
    for text in (line, *line.split(maxsplit=1)[:1]):
        inside = text.replace("\\", "/").rpartition("JPEGImages/")[2]
        for name in (text, inside):
            for extension in ("", *card.image_ext):
                image_id = name.removesuffix(extension)
                if image_id and Sample(image_id, root).image_path(card.image_ext):
                    return image_id
    return line


def _existing_splits(root: str) -> list[str]:
    folder = os.path.join(root, "ImageSets", "Main")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [os.path.splitext(name)[0] for name in names if name.endswith(".txt")]


def _require_distinct(card: Card, samples: Iterable[Sample]) -> None:
    first: dict[str, str] = {}
    for sample in samples:
        if sample.image_id in first:
            raise CardError(f"data set {card.name}: image {sample.image_id} is in "
                            f"{first[sample.image_id]} and in {sample.root}; rename one of them")
        first[sample.image_id] = sample.root
