"""A data set as its card describes it; reader.py has the form of the file."""
import os
from dataclasses import dataclass, field
from typing import Any

from caffe.core.errors import UserError

FORMATS = ("voc", "coco", "yolo", "labelme", "csv", "cvat", "via", "createml", "labelstudio",
           "openimages")
# A file of these has the annotations of many pictures, and a card names it
TABLES = ("cvat", "via", "createml", "labelstudio", "openimages")
IMAGE_EXT = (".jpg", ".jpeg", ".png", ".bmp", ".JPG", ".JPEG", ".PNG")
USUAL_SPLITS = ("train", "val", "trainval", "test")
BACKGROUND = "__background__"
VOC_LIST = "ImageSets/Main/{}.txt"
COCO_FILE, COCO_IMAGES = "annotations/instances_{}.json", "images/{}"


class CardError(UserError, ValueError):
    """A card that cannot be used; the message starts with file and line."""


def is_class_name(name: str) -> bool:
    """Whether a class can be called so: not the background's name, one line, nothing invisible."""
    return name.lower() != BACKGROUND and name.isprintable()


@dataclass(frozen=True)
class Card:
    """A data set: `roots` are absolute paths.

    splits[name]: for VOC's layout a file or None for every root; for format coco (annotations,
    images, list or ""); for the others what names the pictures: lists, folders, tables.
    classes: without the background; () for all categories of a COCO file.
    annotations: below the root, folders or files; () for the format's usual place. settings: what
    training and tests take where the command line says nothing.
    """

    name: str
    roots: tuple[str, ...]
    classes: tuple[str, ...]
    splits: dict[str, tuple] = field(default_factory=dict)
    train: str = "trainval"
    test: str = "test"
    metric: str = "voc07"
    image_ext: tuple[str, ...] = IMAGE_EXT
    on_bad_box: str = "clamp"
    on_unknown_class: str = "error"
    on_bad_annotation: str = "skip"
    on_bad_image: str = "skip"
    format: str = "voc"
    path: str = ""
    annotations: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    schedule: str = "proposed"

    @property
    def is_listed(self) -> bool:
        """Whether lists, folders or tables name the pictures by path, in any folders."""
        return self.format not in ("voc", "coco") or (self.format == "voc"
                                                      and bool(self.annotations))

    def split_files(self, split: str) -> list[tuple[str, str]]:
        """Paths of what names a split's pictures: [(root, path)]; in VOC's layout one list for each
        root that has the split.
        """
        if self.is_listed:
            return [(self.roots[0], os.path.join(self.roots[0], name))
                    for name in self.splits.get(split, (f"{split}.txt",))]
        names = self.splits.get(split, (VOC_LIST.format(split),) * len(self.roots))
        return [(root, os.path.join(root, name))
                for root, name in zip(self.roots, names) if name is not None]

    def coco_files(self, split: str) -> tuple[str, str]:
        """Paths of a split's annotation file and of the folder of its images."""
        return self._coco_files(split)[:2]

    def coco_list(self, split: str) -> str:
        """Path of the list of a split's images; empty when the split has all of its file."""
        return self._coco_files(split)[2]

    def _coco_files(self, split: str) -> tuple[str, str, str]:
        names = self.splits.get(split, (COCO_FILE.format(split), COCO_IMAGES.format(split), ""))
        annotations, images, listed = (name and os.path.join(self.roots[0], name)
                                       for name in names)
        return annotations, images, listed

    def has_split(self, split: str) -> bool:
        """Whether the files that name the images of a split are there."""
        if self.format == "coco":
            return os.path.exists(self.coco_files(split)[0])
        return all(os.path.exists(path) for _, path in self.split_files(split))

    def split_names(self) -> list[str]:
        """The splits of the card, and usual ones whose files exist."""
        found = [split for split in USUAL_SPLITS
                 if split not in self.splits and self.has_split(split)]
        return sorted({*self.splits, *found, self.train, self.test})
