"""The files of a folder, sorted by what they may be."""
import os
from collections.abc import Collection
from dataclasses import dataclass, field

from faster_rcnn.datasets.samples.pictures import PictureIndex, files_below, is_picture

# Formats in the order in which they are preferred when several cover as many pictures
FORMATS = ("voc", "yolo", "coco", "labelme", "cvat", "csv")
WORDS = {"voc": "VOC's XML", "yolo": "YOLO's label files", "coco": "COCO's JSON",
         "labelme": "LabelMe's JSON", "cvat": "CVAT's XML", "csv": "tables (CSV)"}


class Folder:
    """A folder's files: paths relative to the root, sorted; pictures as paths joined to it.

    ignored: files that do not count.
    """

    def __init__(self, root: str, ignored: Collection[str] = ()) -> None:
        self.root = os.path.abspath(root)
        self.files = [name for name in files_below(self.root) if name not in ignored]
        self.pictures = [self.path(name) for name in self.files if is_picture(self.path(name))]
        self.index = PictureIndex(self.root)

    def path(self, name: str) -> str:
        """The path of a file."""
        return os.path.join(self.root, name)

    def name(self, path: str) -> str:
        """A path relative to the root."""
        return os.path.relpath(path, self.root)

    def with_extension(self, *extensions: str) -> list[str]:
        """The files with one of these extensions, in small letters with the dot."""
        return [name for name in self.files if os.path.splitext(name)[1].lower() in extensions]

    def head(self, name: str, size: int = 1 << 16) -> str:
        """The first bytes of a file as text, whatever its encoding; empty when unreadable."""
        try:
            with open(self.path(name), "rb") as file:
                content = file.read(size)
        except OSError:
            return ""
        encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
        return content.decode(encoding, "ignore")


@dataclass(frozen=True)
class Found:
    """What a recogniser found of a format.

    pictures: paths of those that may be trained on; num_annotated: how many have an annotation.
    annotations: as on a card. classes: names in order; () when the objects say them. splits: {name:
    places, relative to the root} as the format itself says them; for COCO (annotations, images).
    notes: sentences. coco_images: folder of the images, by annotation file.
    """

    format: str
    pictures: tuple[str, ...]
    num_annotated: int
    annotations: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    splits: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    coco_images: dict[str, str] = field(default_factory=dict)
