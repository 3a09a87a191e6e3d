"""What is in a folder of annotated pictures, in sentences, and what its card says."""
import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from faster_rcnn.annotations.coco_json import read_coco
from faster_rcnn.annotations.files import AnnotationError
from faster_rcnn.datasets.cards import Card
from faster_rcnn.datasets.cards.card import is_class_name
from faster_rcnn.datasets.samples.listed import source_of
from faster_rcnn.datasets.samples.pictures import FolderError
from faster_rcnn.files.naming import is_text
from faster_rcnn.folders.card_files import data_set_name
from faster_rcnn.folders.coco_files import coco_paths, find_coco
from faster_rcnn.folders.division import SEED, divide
from faster_rcnn.folders.folder import FORMATS, WORDS, Folder, Found
from faster_rcnn.folders.own_files import find_labelme, find_voc
from faster_rcnn.folders.split_names import chosen, pictures_of, splits_by_folders, splits_by_lists
from faster_rcnn.folders.tables import FINDERS
from faster_rcnn.folders.unknown import no_folder, unnamed, why_nothing
from faster_rcnn.folders.yolo import find_yolo
from faster_rcnn.images.kinds import unread_pictures
from faster_rcnn.images.similar import groups_of, looks_of, similar_pairs

RECOGNISERS: dict[str, Callable[[Folder], Found | None]] = {
    "voc": find_voc, "yolo": find_yolo, "coco": find_coco, "labelme": find_labelme, **FINDERS}
Places = dict[str, tuple[str, ...]]
# Classes that a sentence names
_SHOWN = 12


@dataclass(frozen=True)
class Look:
    """What was found. content: the card's keys but name and root; lists: {file: names of pictures}
    to write beside it; sentences: for people.
    """

    content: dict[str, Any]
    lists: dict[str, list[str]]
    sentences: tuple[str, ...]


def look(path: str, form: str | None = None, seed: int = SEED,
         ignored: Collection[str] = ()) -> Look:
    """Looks at a folder; form: the format to take where there are several; ignored: files that do
    not count.

    FolderError when there is nothing that could be trained on.
    """
    if not os.path.isdir(path):
        raise FolderError(no_folder(path))
    if not is_text(os.path.abspath(path)):
        raise FolderError(f"{path!r}: the name of the folder is no text in UTF-8; rename it")
    folder = Folder(path, ignored)
    found, others = _recognised(folder, form)
    objects, errors = _objects(folder, found)
    classes, words = _classes(found, objects, errors)
    sentences = [f"{folder.root}: {len(folder.pictures)} pictures; {found.num_annotated} with "
                 f"annotations as {WORDS[found.format]}{_where(found)}", *found.notes]
    sentences += [f"{error}: not used" for error in folder.refused.get(found.format, ())]
    sentences += [f"{len(errors)} of the annotations cannot be read, and their pictures are left "
                  f"out, such as {errors[0]}"] if errors else []
    sentences += filter(None, [unread_pictures(folder.files), unnamed(folder)])
    sentences += [f"{WORDS[other.format]} were found as well, for {other.num_annotated} pictures; "
                  f"--format {other.format} takes them" for other in others]
    sentences.append(words)
    content: dict[str, Any] = {"format": found.format}
    nameless = _nameless(objects)
    if nameless:
        sentences.append(nameless)
        content["on_unknown_class"] = "skip"
    if found.annotations and found.format != "coco":
        content["annotations"] = list(found.annotations)
    content["classes"] = list(classes)
    splits, said = _splits(folder, found)
    lists: dict[str, list[str]] = {}
    if splits is None:
        splits, lists, more = _divided(folder, found, objects, classes, seed)
        said += more
    content.update(splits)
    return Look(content, lists, tuple([*sentences, *said]))


def _recognised(folder: Folder, form: str | None) -> tuple[Found, list[Found]]:
    """The format that covers most pictures, or the one asked for, and the others."""
    all_found = [found for name in FORMATS if (found := RECOGNISERS[name](folder)) is not None]
    wanted = [found for found in all_found if form in (None, found.format)]
    if not wanted:
        raise FolderError(why_nothing(folder, form))
    best = max(wanted, key=lambda found: found.num_annotated)
    return best, [found for found in all_found if found is not best]


def _where(found: Found) -> str:
    places = [place for place in found.annotations if place != "."]
    if not places or found.format == "yolo":
        return ""
    return f" in {', '.join(places[:3])}{', ...' if len(places) > 3 else ''}"


def _objects(folder: Folder, found: Found) -> tuple[dict[str, list[str]], list[str]]:
    """Class names of the objects in each picture that may be trained on, and what is wrong with
    annotations that cannot be read.
    """
    if found.format == "coco":
        return _coco_objects(folder, found), []
    places = [folder.path(name) for names in found.splits.values() for name in names]
    source = source_of(Card(data_set_name(folder.root), (folder.root,), found.classes,
                            format=found.format, annotations=found.annotations), places,
                       folder.index)
    objects, errors = {}, []
    for picture in found.pictures:
        try:
            annotation = source.read(picture, (1, 1))
        except AnnotationError as error:
            errors.append(str(error))
            continue
        objects[picture] = [obj.name for obj in annotation.objects if obj.name]
    return objects, errors


def _coco_objects(folder: Folder, found: Found) -> dict[str, list[str]]:
    objects: dict[str, list[str]] = {}
    for name in found.annotations:
        file = read_coco(folder.path(name))
        paths = coco_paths(folder, found.coco_images[name], file)
        for number, image in file.images.items():
            objects.setdefault(paths[image.file_name], []).extend(
                obj.name for obj in (file.objects or {}).get(number, ()))
    return {path: objects[path] for path in found.pictures}


def _classes(found: Found, objects: dict[str, list[str]],
             errors: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The names of the classes, and a sentence that counts their objects."""
    written = Counter(name for names in objects.values() for name in names)
    counts: Counter[str] = Counter()
    spelling: dict[str, str] = {}
    for name, count in written.most_common():
        counts[name.lower()] += count
        spelling.setdefault(name.lower(), name)
    classes = tuple(filter(is_class_name, found.classes or (spelling[name] for name
                                                            in sorted(spelling))))
    if not classes or not any(counts[name.lower()] for name in classes):
        more = f"; {len(errors)} cannot be read, such as {errors[0]}" if errors else ""
        raise FolderError(f"{WORDS[found.format]} of {len(objects)} pictures name no object{more}")
    shown = [f"{name} ({counts[name.lower()]} objects)" for name in classes[:_SHOWN]]
    more = f" and {len(classes) - _SHOWN} more" if len(classes) > _SHOWN else ""
    words = f"{len(classes)} class{'es' * (len(classes) > 1)}"
    return classes, f"{words}: {', '.join(shown)}{more}"


def _nameless(objects: dict[str, list[str]]) -> str:
    """A sentence about objects whose names no class can have; empty when there are none."""
    names = [name for found in objects.values() for name in found if not is_class_name(name)]
    if not names:
        return ""
    shown = ", ".join(map(repr, sorted(set(names))[:3]))
    return f"{len(names)} objects are left out, since no class can be called {shown}"


def _splits(folder: Folder, found: Found) -> tuple[dict[str, Any] | None, list[str]]:
    """The card's keys of the splits that files and folders say; None when they say none."""
    said = []
    for splits in (found.splits, splits_by_lists(folder) if found.format != "coco" else {},
                   splits_by_folders(folder, found.pictures) if found.format != "coco" else {}):
        names = chosen(splits)
        if names is None:
            continue
        train, test = (set(_pictures(folder, found, splits[name])) for name in names)
        both = len(train & test)
        if not train or not test or 2 * both >= len(test):
            said.append(f"{names[0]} and {names[1]} have {both} of {len(test)} pictures in common: "
                        "they are not taken")
            continue
        said.append(f"training: {len(train)} pictures ({_named(splits[names[0]])}); test: "
                    f"{len(test)} pictures ({_named(splits[names[1]])})"
                    + (f"; {both} are in both" if both else ""))
        return _keys(found, splits, *names), said
    return None, said


def _keys(found: Found, splits: Places, train: str, test: str) -> dict[str, Any]:
    if found.format == "coco":
        written: Any = {name: {"annotations": places[0], "images": places[1]}
                        for name, places in splits.items()}
    else:
        written = {name: list(places) for name, places in splits.items()}
    return {"splits": written, "train": train, "test": test}


def _pictures(folder: Folder, found: Found, places: Sequence[str]) -> list[str]:
    """The pictures of a split that may be trained on."""
    if found.format == "coco":
        return list(coco_paths(folder, places[1], read_coco(folder.path(places[0]))).values())
    known = set(found.pictures)
    return [path for path in pictures_of(folder, places) if path in known]


def _named(places: Sequence[str]) -> str:
    return ", ".join(places[:3]) + (", ..." if len(places) > 3 else "")


def _divided(folder: Folder, found: Found, objects: dict[str, list[str]], classes: Sequence[str],
             seed: int) -> tuple[dict[str, Any], dict[str, list[str]], list[str]]:
    """The card's keys, lists and sentences of pictures that are divided here."""
    paths = [path for path in found.pictures if path in objects]
    column = {name.lower(): number for number, name in enumerate(classes)}
    counts = np.zeros((len(paths), len(classes)))
    for row, path in enumerate(paths):
        for name in objects[path]:
            if name.lower() in column:
                counts[row, column[name.lower()]] += 1
    groups = picture_groups(paths)
    if groups.max(initial=-1) < 1:
        raise FolderError(f"{folder.root}: two pictures at least are needed, one to train and one "
                          f"to test on; there are {len(paths)} (pictures that look alike count as "
                          "one)")
    mask = divide(counts, groups, seed=seed)
    alike = np.bincount(groups)
    name = data_set_name(folder.root)
    lists = {f"{name}_{split}.txt": [_list_name(folder, found, path)
                                     for path, is_test in zip(paths, mask) if is_test == wanted]
             for split, wanted in (("train", False), ("test", True))}
    splits: dict[str, Any] = {split: f"{name}_{split}.txt" for split in ("train", "test")}
    if found.format == "coco":
        file = found.annotations[0]
        splits = {split: {"annotations": file, "images": found.coco_images[file], "list": listed}
                  for split, listed in splits.items()}
    said = (f"no lists say which pictures are for the test, so they are divided at random (seed "
            f"{seed}), every class in proportion: {int((~mask).sum())} pictures for training, "
            f"{int(mask.sum())} for the test")
    if (alike > 1).any():
        said += (f"; {int(alike[alike > 1].sum())} of them look alike (groups: "
                 f"{int((alike > 1).sum())}), and each group stays together")
    return {"splits": splits, "train": "train", "test": "test"}, lists, [said]


def picture_groups(paths: Sequence[str]) -> np.ndarray:
    """A number per picture (N,); pictures that look alike, or are changed copies that Roboflow made
    of one (a_jpg.rf.<number>.jpg), share one.
    """
    pairs = [similar_pairs(looks_of(paths))]
    first: dict[str, int] = {}
    for number, path in enumerate(paths):
        stem, mark, _ = os.path.basename(path).partition(".rf.")
        if mark:
            pairs.append(np.array([[first.setdefault(stem, number), number]]))
    return groups_of(len(paths), np.concatenate(pairs))


def _list_name(folder: Folder, found: Found, path: str) -> str:
    """How a list calls a picture: relative to the root, for COCO as its file does."""
    return found.coco_names.get(path) or folder.name(path)
