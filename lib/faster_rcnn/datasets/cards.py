"""Data set cards: YAML files that make a folder of annotated images usable by name.

    name: bccd                       # the file's name without .yml; the default
    format: voc
    root: data/BCCD/VOC2007          # holds Annotations, ImageSets/Main and JPEGImages
    classes: [RBC, WBC, Platelets]   # without the background; case does not matter
    splits:                          # optional, for other files than ImageSets/Main/<split>.txt
      test: ImageSets/Main/test.txt
    train: trainval                  # the split to train on by default
    test: test                       # ... and to test on
    metric: voc07                    # voc07: 11-point average precision; area: area under the curve
    image_ext: [.jpg, .png]          # optional
    on_bad_box: clamp                # clamp (default), skip or error
    on_unknown_class: error          # error (default) or skip
    on_bad_annotation: skip          # skip or error, for files that cannot be read, and
    on_bad_image: skip               # ... images: by default error when on_bad_box is, else skip

`root` may be a list of folders that together make one data set; a split is then one file for all
of them, or a list with a file, or null, for each.
Shipped cards lie in data/cards and name their roots relative to the project's folder. In a card
given by its path a relative root is looked for beside the card first, then in the project's
folder.

    format: coco                     # annotations as COCO writes them, a JSON file per split
    root: my/parts
    splits:                          # below the root; where a split is not listed:
      val: {annotations: annotations/instances_val.json, images: images/val}
    classes: [bolt, nut]             # default: all categories of the training split's file

Such a card has one root, and neither metric (it is COCO's) nor image_ext.
"""
import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from reprlib import repr as shown

from caffe.core.errors import UserError, suggest
from faster_rcnn.annotations.check import ON_BAD_BOX, SKIP_OR_ERROR
from faster_rcnn.files import places, safe_yaml
from faster_rcnn.files.reading import EncodingError, FileError, read_text
from faster_rcnn.settings.config import cfg

FOLDER = places.shipped("cards")
FORMATS = ("voc", "coco")
METRICS = ("voc07", "area")
IMAGE_EXT = (".jpg", ".jpeg", ".png", ".bmp", ".JPG", ".JPEG", ".PNG")
USUAL_SPLITS = ("train", "val", "trainval", "test")
VOC_LIST = "ImageSets/Main/{}.txt"
# Characters of a message, which may quote anything
MAX_MESSAGE = 1000
COCO_FILE, COCO_IMAGES = "annotations/instances_{}.json", "images/{}"


class CardError(UserError, ValueError):
    """A card that cannot be used; the message starts with file and line."""


@dataclass(frozen=True)
class Card:
    """A data set: `roots` are absolute paths.

    splits[name]: for format voc a file or None for every root, for coco (annotations, images).
    classes: without the background; () for all categories of a COCO file.
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

    def split_files(self, split: str) -> list[tuple[str, str]]:
        """Paths of a split's image lists, one per root that has the split: [(root, file)]."""
        names = self.splits.get(split, (VOC_LIST.format(split),) * len(self.roots))
        return [(root, os.path.join(root, name))
                for root, name in zip(self.roots, names) if name is not None]

    def coco_files(self, split: str) -> tuple[str, str]:
        """Paths of a split's annotation file and of the folder of its images."""
        names = self.splits.get(split, (COCO_FILE.format(split), COCO_IMAGES.format(split)))
        annotations, images = (os.path.join(self.roots[0], name) for name in names)
        return annotations, images

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


def list_cards() -> list[str]:
    """Names of the cards in data/cards."""
    return sorted(os.path.splitext(os.path.basename(path))[0]
                  for path in glob.glob(os.path.join(FOLDER, "*.yml")))


def is_card(name_or_path: str) -> bool:
    """Whether this is a name in data/cards, or a path that ends in .yml or .yaml."""
    return name_or_path.endswith((".yml", ".yaml")) or name_or_path in list_cards()


def load_card(name_or_path: str) -> Card:
    """The card of a name in data/cards, or of a path that ends in .yml or .yaml.

    Raises CardError, naming file, line and key.
    """
    is_path = name_or_path.endswith((".yml", ".yaml"))
    path = name_or_path if is_path else os.path.join(FOLDER, name_or_path + ".yml")
    if not is_path and not os.path.exists(path):
        raise CardError(f'there is no data set card "{name_or_path}"'
                        f"{suggest(name_or_path, list_cards())}; there are: "
                        f"{', '.join(list_cards())}")
    try:
        text = read_text(path, safe_yaml.MAX_CHARACTERS)
        return _Reader(path, text).card()
    except FileNotFoundError as error:
        link = f" ({error})" if os.path.islink(path) else ""
        raise CardError(f"{path}: this data set card does not exist{link}") from None
    except (FileError, EncodingError, safe_yaml.YamlError) as error:
        raise CardError(str(error)) from None


class _Reader:
    """The options of one card file, each checked as it is taken."""

    KEYS = ("name", "format", "root", "classes", "splits", "train", "test", "metric",
            "image_ext", "on_bad_box", "on_unknown_class", "on_bad_annotation", "on_bad_image")
    VOC_ONLY = ("metric", "image_ext")

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.options: dict = safe_yaml.load(text, path)
        if not isinstance(self.options, dict):
            raise CardError(f"{path}: a data set card is a mapping with the keys "
                            f"{', '.join(self.KEYS)}")
        self.lines = safe_yaml.key_lines(text, path)
        for key in self.options:
            if key not in self.KEYS:
                raise self.error(key, f'"{key}" is no key of a data set card'
                                 f"{suggest(key, self.KEYS)}; there are: {', '.join(self.KEYS)}")

    def error(self, key: str, message: str) -> CardError:
        line = self.lines.get(str(key))
        words = message if len(message) <= MAX_MESSAGE else message[:MAX_MESSAGE] + "..."
        return CardError(f"{self.path}{f':{line}' if line else ''}: {words}")

    def card(self) -> Card:
        form = self.choice("format", FORMATS, None)
        roots = tuple(self.resolved(root) for root in self.texts("root"))
        on_bad_box = self.choice("on_bad_box", ON_BAD_BOX, "clamp")
        strict = "error" if on_bad_box == "error" else "skip"
        is_coco = form == "coco"
        if is_coco:
            self.check_coco(roots)
        return Card(
            name=self.name(), roots=roots, format=form,
            classes=() if is_coco and "classes" not in self.options else self.classes(),
            splits=self.coco_splits() if is_coco else self.splits(len(roots)),
            train=self.text("train", "train" if is_coco else "trainval"),
            test=self.text("test", "val" if is_coco else "test"),
            metric="coco" if is_coco else self.choice("metric", METRICS, "voc07"),
            image_ext=self.texts("image_ext", IMAGE_EXT), on_bad_box=on_bad_box,
            on_unknown_class=self.choice("on_unknown_class", SKIP_OR_ERROR, "error"),
            on_bad_annotation=self.choice("on_bad_annotation", SKIP_OR_ERROR, strict),
            on_bad_image=self.choice("on_bad_image", SKIP_OR_ERROR, strict),
            path=os.path.abspath(self.path))

    def check_coco(self, roots: Sequence[str]) -> None:
        if len(roots) != 1:
            raise self.error("root", f"a card of format coco has one root; received {len(roots)}")
        for key in self.VOC_ONLY:
            if key in self.options:
                raise self.error(key, f"{key} is for cards of format voc; this one's is coco")

    def name(self) -> str:
        stem = os.path.splitext(os.path.basename(self.path))[0]
        name = self.text("name", stem)
        if name != stem and os.path.dirname(os.path.abspath(self.path)) == FOLDER:
            raise self.error("name", f'the name "{name}" must be the file\'s, "{stem}"')
        if os.sep in name or name != name.strip():
            raise self.error("name", f'"{name}" cannot be used as the name of a folder')
        return name

    def text(self, key: str, default: str | None) -> str:
        value = self.options.get(key, default)
        if value is None:
            raise self.error(key, f'the card has no "{key}"')
        if not isinstance(value, str):
            raise self.error(key, f"{key} must be a text; received {shown(value)}")
        return value

    def choice(self, key: str, allowed: Sequence[str], default: str | None) -> str:
        value = self.text(key, default)
        if value not in allowed:
            raise self.error(key, f'{key} "{value}" is unknown{suggest(value, allowed)}; '
                             f"there are: {', '.join(allowed)}")
        return value

    def texts(self, key: str, default: Sequence[str] | None = None) -> tuple[str, ...]:
        """A text or a list of texts, as a tuple with at least one element."""
        value = self.options.get(key, default)
        if value is None:
            raise self.error(key, f'the card has no "{key}"')
        values = (value,) if isinstance(value, str) else value
        if not isinstance(values, (list, tuple)) or not values:
            raise self.error(key, f"{key} must be a list of texts; received {shown(value)}")
        for element in values:
            if not isinstance(element, str) or not element.strip():
                raise self.error(key, f"{key} must be a list of texts; received {shown(element)} "
                                 "(quote words that YAML takes for something else: \"no\", \"1\")")
        return tuple(element.strip() for element in values)

    def classes(self) -> tuple[str, ...]:
        names = self.texts("classes")
        if names[0] == "__background__":
            names = names[1:]
        lower = [name.lower() for name in names]
        for i, name in enumerate(lower):
            if name in lower[:i]:
                raise self.error("classes", f'the class "{names[i]}" is listed twice')
            if os.sep in name or name == "__background__":
                raise self.error("classes", f'"{names[i]}" cannot be the name of a class')
        if not names:
            raise self.error("classes", "there must be a class besides the background")
        return names

    def mapping(self, key: str) -> dict:
        value = self.options.get(key, {})
        if not isinstance(value, dict):
            raise self.error(key, f"{key} must map names to files below the root; received "
                             f"{shown(value)}")
        return value

    def coco_splits(self) -> dict[str, tuple[str, str]]:
        splits = {}
        for name, files in self.mapping("splits").items():
            if (not isinstance(files, dict) or not set(files) <= {"annotations", "images"}
                    or not all(isinstance(text, str) for text in files.values())):
                raise self.error(f"splits.{name}", f"split {name} must be {{annotations: file, "
                                 f"images: folder}}, both below the root; received {shown(files)}")
            splits[str(name)] = (files.get("annotations", COCO_FILE.format(name)),
                                 files.get("images", COCO_IMAGES.format(name)))
        return splits

    def splits(self, num_roots: int) -> dict[str, tuple]:
        splits = {}
        for name, files in self.mapping("splits").items():
            files = (files,) * num_roots if isinstance(files, str) else files
            if (not isinstance(files, (list, tuple)) or len(files) != num_roots
                    or not any(isinstance(f, str) for f in files)
                    or not all(f is None or isinstance(f, str) for f in files)):
                raise self.error(f"splits.{name}", f"split {name} must be a file below the root, "
                                 f"or a list with a file or null for each of the {num_roots} "
                                 f"roots; received {shown(files)}")
            splits[str(name)] = tuple(files)
        return splits

    def resolved(self, root: str) -> str:
        root = os.path.expanduser(root)
        folder = os.path.dirname(os.path.abspath(self.path))
        beside = os.path.join(folder, root)
        if os.path.isabs(root) or (folder != FOLDER and os.path.isdir(beside)):
            return os.path.normpath(beside)
        return os.path.normpath(os.path.join(cfg.ROOT_DIR, root))
