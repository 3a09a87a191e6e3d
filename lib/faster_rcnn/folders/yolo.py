"""Recognises YOLO's label files, with or without the data.yaml of Ultralytics and Roboflow."""
import os
from collections.abc import Sequence
from typing import Any

from faster_rcnn.annotations.files import AnnotationError
from faster_rcnn.annotations.values import as_number, whole_number
from faster_rcnn.annotations.yolo_txt import read_yolo
from faster_rcnn.datasets.cards.card import is_class_name
from faster_rcnn.datasets.samples.pictures import plain_name
from faster_rcnn.datasets.samples.sources import FileSource
from faster_rcnn.files import safe_yaml
from faster_rcnn.files.reading import EncodingError, FileError, read_text
from faster_rcnn.folders.folder import Folder, Found
from faster_rcnn.folders.split_names import pictures_of

# Files of class names, a line each
NAME_FILES = ("classes.txt", "obj.names", "labels.txt", "predefined_classes.txt", "names.txt",
              "_darknet.labels")
SPLITS = ("train", "val", "test")
MAX_CLASSES = 10_000
_LOOKED_AT = 40


def find_yolo(folder: Folder) -> Found | None:
    """Pictures with label files, in labels/ parallel to images/ or beside them."""
    source = FileSource("yolo", folder.root, (), ())
    labels = {picture: path for picture in folder.pictures
              if (path := source.find(picture)) is not None}
    if not labels or not _are_labels(folder, list(labels.values())):
        return None
    yaml_name, facts = _data_yaml(folder)
    if "kpt_shape" in facts:
        folder.refuse("yolo", f"{folder.path(yaml_name)}: kpt_shape: the label files hold key "
                      "points, which would be taken for outlines; keep the first five numbers of "
                      "each line, and remove kpt_shape")
        return None
    splits, notes = _splits(folder, yaml_name, facts) if yaml_name else ({}, [])
    classes = _names(facts.get("names")) or _names_in_file(folder)
    if not classes:
        classes = _numbered(list(labels.values()))
        notes.append("no file says the names of the classes: they are called "
                     f"{', '.join(classes[:5])}; write their names on the card")
    without = len(folder.pictures) - len(labels)
    if without:
        notes.append(f"{without} pictures have no label file and count as pictures without objects")
    return Found("yolo", tuple(folder.pictures), len(labels), (), classes, splits, tuple(notes))


def _are_labels(folder: Folder, paths: Sequence[str]) -> bool:
    """Whether most of the first files with content hold numbers as label files do."""
    heads = [folder.head(folder.name(path), 1 << 10).split("\n", 1)[0].split()
             for path in paths[:_LOOKED_AT]]
    filled = [words for words in heads if words]
    fitting = [words for words in filled if len(words) >= 5
               and all(as_number(word) is not None for word in words[:5])]
    return 2 * len(fitting) >= len(filled)


def _data_yaml(folder: Folder) -> tuple[str, dict]:
    """The name and content of the file that describes the set: a mapping with names, and train or
    nc; "", {} for none.
    """
    names = sorted(folder.with_extension(".yaml", ".yml"), key=lambda name: name.count(os.sep))
    for name in names:
        path = folder.path(name)
        try:
            facts = safe_yaml.load(read_text(path, safe_yaml.MAX_CHARACTERS), path)
        except (FileError, EncodingError, safe_yaml.YamlError):
            continue
        if isinstance(facts, dict) and "names" in facts and ("train" in facts or "nc" in facts):
            return name, facts
    return "", {}


def _names(value: Any) -> tuple[str, ...]:
    """Class names as a list, or as a mapping of numbers; a number without name has its number."""
    if isinstance(value, dict):
        numbered = {whole_number(key): name for key, name in value.items()}
        known = {key: name for key, name in numbered.items()
                 if key is not None and 0 <= key < MAX_CLASSES}
        value = [known.get(number, f"class {number}")
                 for number in range(max(known, default=-1) + 1)]
    if not isinstance(value, (list, tuple)):
        return ()
    return tuple(_distinct([str(name).strip() for name in value]))


def _distinct(names: list[str]) -> list[str]:
    """The names, as many as there are; one that is empty or was there before gets its number, and
    one that no class may have loses what is invisible and the marks of the background's.
    """
    seen: set[str] = set()
    found = []
    for number, name in enumerate(names):
        if not is_class_name(name):
            shown = "".join(letter for letter in " ".join(name.split()) if letter.isprintable())
            name = shown if is_class_name(shown) else shown.strip("_")
        if not name or name.lower() in seen:
            name = f"{name or 'class'} {number}"
        seen.add(name.lower())
        found.append(name)
    return found


def _names_in_file(folder: Folder) -> tuple[str, ...]:
    """Class names from a file of lines."""
    for name in folder.files:
        if os.path.basename(name) in NAME_FILES or name.endswith(".names"):
            try:
                lines = read_text(folder.path(name), 1 << 20).split("\n")
            except (FileError, EncodingError):
                continue
            names = [line.strip() for line in lines]
            while names and not names[-1]:
                names.pop()
            if names:
                return tuple(_distinct(names))
    return ()


def _numbered(paths: Sequence[str]) -> tuple[str, ...]:
    """Names for the numbers that label files use."""
    highest = 0
    for path in paths:
        try:
            objects = read_yolo(path, (1, 1), ()).objects
        except AnnotationError:
            continue
        numbers = [whole_number(obj.name.removeprefix("number ")) for obj in objects]
        highest = max([highest, *(number for number in numbers if number is not None
                                  and number < MAX_CLASSES)])
    return tuple(f"class {number}" for number in range(highest + 1))


def _splits(folder: Folder, name: str, facts: dict) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """({split: places}, notes) of a data.yaml."""
    splits, notes = {}, []
    for key in SPLITS:
        value = facts.get(key)
        texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        places = [_place(folder, name, facts, text) for text in texts if isinstance(text, str)]
        known = tuple(place for place in places if place is not None)
        if known and pictures_of(folder, known):
            splits[key] = known
        elif texts:
            notes.append(f"{name}: {key}: {', '.join(map(str, texts))} is not there or has no "
                         "pictures")
    return splits, notes


def _place(folder: Folder, name: str, facts: dict, text: str) -> str | None:
    """A folder or list that a data.yaml names, relative to the root; None when it is not there.

    It may be relative to the file's `path`, to the file, or to where the set lay on another
    machine; Roboflow writes "../train/images" for "train/images".
    """
    beside = os.path.dirname(folder.path(name))
    base, plain = plain_name(str(facts.get("path") or "")), plain_name(text)
    for start in (os.path.join(beside, base), beside, folder.root):
        path = os.path.normpath(os.path.join(start, plain))
        if os.path.exists(path) and (path + os.sep).startswith(folder.root + os.sep):
            return folder.name(path)
    parts = [part for part in plain.split("/") if part not in ("", ".", "..")]
    for left_out in range(len(parts)):
        path = os.path.join(beside, *parts[left_out:])
        if os.path.exists(path):
            return folder.name(path)
    return None
