"""The file of a data set card: YAML that makes a folder of annotated images usable by name.

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

A split may also have a `list` of the names of its images in the file. Such a card has one root,
and neither metric (it is COCO's) nor image_ext.

    format: yolo                     # or labelme, csv, cvat, via, createml, labelstudio,
                                     # openimages; pictures may lie anywhere in the root
    root: my/parts
    classes: [bolt, nut]             # yolo: in the order of their numbers
    annotations: labels              # folders of the annotation files, by name; from csv on: files
    splits:                          # lists of pictures, folders with pictures, or (csv) tables
      train: [images/train, more.txt]
      test: images/val

Voc takes pictures in any folders as well when `annotations` says where its files are.

    settings: {TRAIN: {SCALES: [480]}}   # as in a settings file; the command line comes first
    schedule: solver                 # proposed (default): iterations follow the number of pictures;
                                     # solver: those that the nets' solvers state
"""
import os
from collections.abc import Sequence
from reprlib import repr as shown

from faster_rcnn.annotations.check import ON_BAD_BOX, SKIP_OR_ERROR
from faster_rcnn.datasets.cards.card import (
    BACKGROUND,
    COCO_FILE,
    COCO_IMAGES,
    FORMATS,
    IMAGE_EXT,
    TABLES,
    Card,
    is_class_name,
)
from faster_rcnn.datasets.cards.options import Options

METRICS = ("voc07", "area")
SCHEDULES = ("proposed", "solver")
KEYS = ("name", "format", "root", "classes", "splits", "train", "test", "metric", "image_ext",
        "annotations", "on_bad_box", "on_unknown_class", "on_bad_annotation", "on_bad_image",
        "settings", "schedule")
COCO_LACKS = ("metric", "image_ext", "annotations")


def read_card(path: str, text: str, is_shipped: bool, project: str) -> Card:
    """The Card of a file's text; is_shipped: in data/cards of the project folder."""
    return _Reader(path, text, is_shipped, project).card()


class _Reader(Options):
    """The keys of a card file."""

    def __init__(self, path: str, text: str, is_shipped: bool, project: str) -> None:
        super().__init__(path, text, KEYS)
        self.is_shipped, self.project = is_shipped, project

    def card(self) -> Card:
        form = self.choice("format", FORMATS, None)
        roots = tuple(self.resolved(root) for root in self.texts("root"))
        on_bad_box = self.choice("on_bad_box", ON_BAD_BOX, "clamp")
        strict = "error" if on_bad_box == "error" else "skip"
        is_coco, annotations = form == "coco", self.annotations(form)
        is_listed = not is_coco and (form != "voc" or bool(annotations))
        self.check_form(form, roots, is_listed)
        return Card(
            name=self.name(), roots=roots, format=form, annotations=annotations,
            classes=() if is_coco and "classes" not in self.options else self.classes(form),
            splits=(self.coco_splits() if is_coco else self.listed_splits() if is_listed
                    else self.splits(len(roots))),
            train=self.text("train", "train" if is_coco or is_listed else "trainval"),
            test=self.text("test", "val" if is_coco else "test"),
            metric="coco" if is_coco else self.choice("metric", METRICS, "voc07"),
            image_ext=self.texts("image_ext", IMAGE_EXT), on_bad_box=on_bad_box,
            on_unknown_class=self.choice("on_unknown_class", SKIP_OR_ERROR, "error"),
            on_bad_annotation=self.choice("on_bad_annotation", SKIP_OR_ERROR, strict),
            on_bad_image=self.choice("on_bad_image", SKIP_OR_ERROR, strict),
            settings=self.settings(), schedule=self.choice("schedule", SCHEDULES, "proposed"),
            path=os.path.abspath(self.path))

    def check_form(self, form: str, roots: Sequence[str], is_listed: bool) -> None:
        if len(roots) != 1 and (is_listed or form == "coco"):
            raise self.error("root", f"a card of format {form} has one root; received {len(roots)}")
        for key in COCO_LACKS if form == "coco" else ():
            if key in self.options:
                raise self.error(key, f"{key} is for cards of format voc; this one's is coco")
        if form in TABLES and "annotations" not in self.options:
            raise self.error("annotations", f"a card of format {form} names its file in "
                             "\"annotations\"")

    def annotations(self, form: str) -> tuple[str, ...]:
        return () if form == "coco" else self.texts("annotations") if (
            "annotations" in self.options) else ()

    def settings(self) -> dict:
        values = self.mapping("settings", "names of settings to values")
        for key in values:
            if not isinstance(key, str):
                raise self.error("settings", f"{shown(key)} is no name of a setting")
        return values

    def name(self) -> str:
        stem = os.path.splitext(os.path.basename(self.path))[0]
        name = self.text("name", stem)
        if name != stem and self.is_shipped:
            raise self.error("name", f'the name "{name}" must be the file\'s, "{stem}"')
        if os.sep in name or name != name.strip():
            raise self.error("name", f'"{name}" cannot be used as the name of a folder')
        return name

    def classes(self, form: str) -> tuple[str, ...]:
        names = self.texts("classes")
        if names[0] == BACKGROUND and form != "yolo":       # whose numbers count all names
            names = names[1:]
        lower = [name.lower() for name in names]
        for i, name in enumerate(lower):
            if name in lower[:i]:
                raise self.error("classes", f'the class "{names[i]}" is listed twice')
            if not is_class_name(name):
                hint = ("; leave it out, or where YOLO's label files count it, give it another name"
                        if name == BACKGROUND and form == "yolo" else "")
                raise self.error("classes", f"{shown(names[i])} cannot be the name of a "
                                 f"class{hint}")
        if not names:
            raise self.error("classes", "there must be a class besides the background")
        return names

    def coco_splits(self) -> dict[str, tuple[str, str, str]]:
        splits = {}
        for name, files in self.mapping("splits", "names to files below the root").items():
            if (not isinstance(files, dict) or not set(files) <= {"annotations", "images", "list"}
                    or not all(isinstance(text, str) for text in files.values())):
                raise self.error(f"splits.{name}", f"split {name} must be {{annotations: file, "
                                 "images: folder, list: file}, all below the root; received "
                                 f"{shown(files)}")
            splits[str(name)] = (files.get("annotations", COCO_FILE.format(name)),
                                 files.get("images", COCO_IMAGES.format(name)),
                                 files.get("list", ""))
        return splits

    def listed_splits(self) -> dict[str, tuple[str, ...]]:
        splits = {}
        for name, places in self.mapping("splits", "names to files below the root").items():
            places = (places,) if isinstance(places, str) else places
            if (not isinstance(places, (list, tuple)) or not places
                    or not all(isinstance(place, str) for place in places)):
                raise self.error(f"splits.{name}", f"split {name} must be a list of pictures, a "
                                 f"folder or a table, or several; received {shown(places)}")
            splits[str(name)] = tuple(places)
        return splits

    def splits(self, num_roots: int) -> dict[str, tuple]:
        splits = {}
        for name, files in self.mapping("splits", "names to files below the root").items():
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
        if os.path.isabs(root) or (not self.is_shipped and os.path.isdir(beside)):
            return os.path.normpath(beside)
        return os.path.normpath(os.path.join(self.project, root))
