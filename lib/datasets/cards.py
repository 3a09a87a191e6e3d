"""Data set cards: YAML files that make a folder in VOC layout usable by name.

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

`root` may be a list of folders, which together make one data set; a split is then one file for all
of them, or a list with a file, or null, for each.
Shipped cards lie in data/cards and name their roots relative to the project's folder. In a card
given by its path a relative root is looked for beside the card first, then in the project's
folder.
"""
import glob
import os
from dataclasses import dataclass, field

from caffe.errors import suggest
from datasets.annotation_check import ON_BAD_BOX, ON_UNKNOWN_CLASS
from fast_rcnn.config import cfg
from utils import safe_yaml

FOLDER = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "data", "cards"))
FORMATS = ("voc",)
METRICS = ("voc07", "area")
IMAGE_EXT = (".jpg", ".jpeg", ".png", ".bmp", ".JPG", ".JPEG", ".PNG")
USUAL_SPLITS = ("train", "val", "trainval", "test")


class CardError(ValueError):
    """A card that cannot be used; the message starts with file and line."""


@dataclass(frozen=True)
class Card:
    """A data set: `roots` are absolute paths; `splits[name]` has a file or None for every root."""

    name: str
    roots: tuple
    classes: tuple
    splits: dict = field(default_factory=dict)
    train: str = "trainval"
    test: str = "test"
    metric: str = "voc07"
    image_ext: tuple = IMAGE_EXT
    on_bad_box: str = "clamp"
    on_unknown_class: str = "error"
    path: str = ""

    def split_files(self, split):
        """Paths of a split's image lists, one per root that takes part: [(root, file)]."""
        names = self.splits.get(split, (f"ImageSets/Main/{split}.txt",) * len(self.roots))
        return [(root, os.path.join(root, name))
                for root, name in zip(self.roots, names) if name is not None]

    def split_names(self):
        """The splits that exist: those of the card, and usual ones whose files are there."""
        found = [split for split in USUAL_SPLITS if split not in self.splits
                 and all(os.path.exists(path) for _, path in self.split_files(split))]
        return sorted({*self.splits, *found, self.train, self.test})


def list_cards():
    """Names of the cards in data/cards."""
    return sorted(os.path.splitext(os.path.basename(path))[0]
                  for path in glob.glob(os.path.join(FOLDER, "*.yml")))


def load_card(name_or_path):
    """The card of a name in data/cards, or of a path that ends in .yml or .yaml.

    Raises CardError, naming file, line and key.
    """
    is_path = name_or_path.endswith((".yml", ".yaml"))
    path = name_or_path if is_path else os.path.join(FOLDER, name_or_path + ".yml")
    if not os.path.isfile(path):
        if is_path:
            raise CardError(f"{path}: this data set card does not exist")
        raise CardError(f'there is no data set card "{name_or_path}"'
                        f"{suggest(name_or_path, list_cards())}; there are: "
                        f"{', '.join(list_cards())}")
    with open(path, encoding="utf-8") as file:
        return _Reader(path, file.read()).card()


class _Reader:
    """The options of one card file, each checked as it is taken."""

    KEYS = ("name", "format", "root", "classes", "splits", "train", "test", "metric",
            "image_ext", "on_bad_box", "on_unknown_class")

    def __init__(self, path, text):
        self.path = path
        self.options = safe_yaml.load(text, path)
        if not isinstance(self.options, dict):
            raise CardError(f"{path}: a data set card is a mapping with the keys "
                            f"{', '.join(self.KEYS)}")
        self.lines = safe_yaml.key_lines(text, path)
        for key in self.options:
            if key not in self.KEYS:
                raise self.error(key, f'"{key}" is no key of a data set card'
                                 f"{suggest(key, self.KEYS)}; there are: {', '.join(self.KEYS)}")

    def error(self, key, message):
        line = self.lines.get(str(key))
        return CardError(f"{self.path}{f':{line}' if line else ''}: {message}")

    def card(self):
        self.choice("format", FORMATS, None)
        roots = tuple(self.resolved(root) for root in self.texts("root"))
        return Card(
            name=self.name(), roots=roots, classes=self.classes(), splits=self.splits(len(roots)),
            train=self.text("train", "trainval"), test=self.text("test", "test"),
            metric=self.choice("metric", METRICS, "voc07"),
            image_ext=self.texts("image_ext", IMAGE_EXT),
            on_bad_box=self.choice("on_bad_box", ON_BAD_BOX, "clamp"),
            on_unknown_class=self.choice("on_unknown_class", ON_UNKNOWN_CLASS, "error"),
            path=os.path.abspath(self.path))

    def name(self):
        stem = os.path.splitext(os.path.basename(self.path))[0]
        name = self.text("name", stem)
        if name != stem and os.path.dirname(os.path.abspath(self.path)) == FOLDER:
            raise self.error("name", f'the name "{name}" must be the file\'s, "{stem}"')
        if os.sep in name or name != name.strip():
            raise self.error("name", f'"{name}" cannot be used as the name of a folder')
        return name

    def text(self, key, default):
        value = self.options.get(key, default)
        if value is None:
            raise self.error(key, f'the card has no "{key}"')
        if not isinstance(value, str):
            raise self.error(key, f"{key} must be a text; received {value!r}")
        return value

    def choice(self, key, allowed, default):
        value = self.text(key, default)
        if value not in allowed:
            raise self.error(key, f'{key} "{value}" is unknown{suggest(value, allowed)}; '
                             f"there are: {', '.join(allowed)}")
        return value

    def texts(self, key, default=None):
        """A text or a list of texts, as a tuple with at least one element."""
        value = self.options.get(key, default)
        if value is None:
            raise self.error(key, f'the card has no "{key}"')
        values = (value,) if isinstance(value, str) else value
        if not isinstance(values, (list, tuple)) or not values:
            raise self.error(key, f"{key} must be a list of texts; received {value!r}")
        for element in values:
            if not isinstance(element, str) or not element.strip():
                raise self.error(key, f"{key} must be a list of texts; received {element!r} "
                                 "(quote words that YAML takes for something else: \"no\", \"1\")")
        return tuple(element.strip() for element in values)

    def classes(self):
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

    def splits(self, num_roots):
        value = self.options.get("splits", {})
        if not isinstance(value, dict):
            raise self.error("splits", "splits must map names to files below the root; received "
                             f"{value!r}")
        splits = {}
        for name, files in value.items():
            files = (files,) * num_roots if isinstance(files, str) else files
            if (not isinstance(files, (list, tuple)) or len(files) != num_roots
                    or not any(isinstance(f, str) for f in files)
                    or not all(f is None or isinstance(f, str) for f in files)):
                raise self.error(f"splits.{name}", f"split {name} must be a file below the root, "
                                 f"or a list with a file or null for each of the {num_roots} "
                                 f"roots; received {files!r}")
            splits[str(name)] = tuple(files)
        return splits

    def resolved(self, root):
        root = os.path.expanduser(root)
        folder = os.path.dirname(os.path.abspath(self.path))
        beside = os.path.join(folder, root)
        if os.path.isabs(root) or (folder != FOLDER and os.path.isdir(beside)):
            return os.path.normpath(beside)
        return os.path.normpath(os.path.join(cfg.ROOT_DIR, root))
