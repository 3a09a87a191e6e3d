"""The files of a folder, sorted by what they may be."""
import os
from collections.abc import Collection
from dataclasses import dataclass, field

from faster_rcnn.datasets.samples.pictures import PictureIndex, files_below, is_picture
from faster_rcnn.files.naming import is_text

# Formats in the order in which they are preferred when several cover as many pictures
FORMATS = ("voc", "yolo", "coco", "labelme", "cvat", "via", "createml", "labelstudio",
           "openimages", "csv")
WORDS = {"voc": "VOC's XML", "yolo": "YOLO's label files", "coco": "COCO's JSON",
         "labelme": "LabelMe's JSON", "cvat": "CVAT's XML", "via": "VIA's JSON",
         "createml": "CreateML's JSON", "labelstudio": "Label Studio's JSON",
         "openimages": "tables of Open Images", "csv": "tables (CSV)"}
# Bytes of a file's beginning and end that show its form
ENDS = 1 << 16


class Folder:
    """A folder's files: paths relative to the root, sorted; pictures as paths joined to it.

    ignored: files that do not count. refused: {format: sentences about files that are of it but
    cannot be used}; doubtful: sentences about files that may be something else; unnamed: files
    whose names are no text in UTF-8, which no list can hold.
    """

    def __init__(self, root: str, ignored: Collection[str] = ()) -> None:
        self.root = os.path.abspath(root)
        names = [name for name in files_below(self.root) if name not in ignored]
        self.files = list(filter(is_text, names))
        self.unnamed = [name for name in names if not is_text(name)]
        self.pictures = [self.path(name) for name in self.files if is_picture(self.path(name))]
        self.index = PictureIndex(self.root)
        self.refused: dict[str, list[str]] = {}
        self.doubtful: list[str] = []

    def path(self, name: str) -> str:
        """The path of a file."""
        return os.path.join(self.root, name)

    def name(self, path: str) -> str:
        """A path relative to the root."""
        return os.path.relpath(path, self.root)

    def with_extension(self, *extensions: str) -> list[str]:
        """The files with one of these extensions, in small letters with the dot."""
        return [name for name in self.files if os.path.splitext(name)[1].lower() in extensions]

    def refuse(self, form: str, sentence: str) -> None:
        """Keeps what is wrong with a file of a format."""
        self.refused.setdefault(form, []).append(sentence)

    def doubt(self, sentence: str) -> None:
        """Keeps why a file counts as something else than annotations."""
        self.doubtful.append(sentence)

    def head(self, name: str, size: int = ENDS) -> str:
        """The first bytes of a file as text, whatever its encoding; empty when unreadable."""
        try:
            with open(self.path(name), "rb") as file:
                content = file.read(size)
        except OSError:
            return ""
        encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        return content.decode(encoding, "ignore")

    def tail(self, name: str) -> str:
        """The end of a file likewise: keys of JSON may stand behind a picture."""
        try:
            with open(self.path(name), "rb") as file:
                file.seek(max(0, os.path.getsize(self.path(name)) - ENDS))
                return file.read().decode("utf-8", "ignore")
        except OSError:
            return ""


@dataclass(frozen=True)
class Found:
    """What a recogniser found of a format.

    pictures: paths of those that may be trained on; num_annotated: how many have an annotation.
    annotations: as on a card. classes: names in order; () when the objects say them. splits: {name:
    places, relative to the root} as the format itself says them; for COCO (annotations, images).
    notes: sentences. coco_images: folder of the images, by annotation file; coco_names: of each
    picture the name in its file.
    """

    format: str
    pictures: tuple[str, ...]
    num_annotated: int
    annotations: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    splits: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    coco_images: dict[str, str] = field(default_factory=dict)
    coco_names: dict[str, str] = field(default_factory=dict)
