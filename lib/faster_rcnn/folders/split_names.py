"""Which pictures are for training and which for a test, as names of files and folders say it."""
import os
import re
from collections.abc import Iterable, Sequence

from faster_rcnn.annotations.csv_tables import read_csv
from faster_rcnn.annotations.files import AnnotationError
from faster_rcnn.datasets.samples.listed import read_list
from faster_rcnn.folders.folder import Folder

# Words of file and folder names -> split
SPLIT_WORDS = {"trainval": "trainval", "train": "train", "training": "train", "val": "val",
               "valid": "val", "validation": "val", "dev": "val", "test": "test",
               "testing": "test"}
# Lines of a list that must name a picture, of the first ones
_LINES = 20
MAX_LIST_BYTES = 64 << 20


def split_of(name: str) -> str | None:
    """The split that a file's or folder's name without extension speaks of: "train_labels", ..."""
    words = [SPLIT_WORDS[word] for word in re.split(r"[^a-z]+", re.sub(r"\d+", "", name.lower()))
             if word in SPLIT_WORDS]
    return words[0] if len(set(words)) == 1 else None


def split_of_path(name: str) -> str | None:
    """The split that the name of a file, or else of its folder, speaks of."""
    own = split_of(os.path.splitext(os.path.basename(name))[0])
    parts = [SPLIT_WORDS[part] for part in os.path.dirname(name).lower().split(os.sep)
             if part in SPLIT_WORDS]
    return own or (parts[-1] if parts else None)


def splits_by_lists(folder: Folder) -> dict[str, tuple[str, ...]]:
    """{split: lists or tables of pictures} by the files' names; VOC's place for them comes first.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name in sorted(folder.with_extension(".txt", ".csv"), key=_rank):
        split = split_of(os.path.splitext(os.path.basename(name))[0])
        if split is not None and split not in found and _names_pictures(folder, name):
            found[split] = (name,)
    return found


def _rank(name: str) -> tuple[bool, bool, bool, int, str]:
    """VOC's place first, in it Main; names that say nothing but the split; few folders deep."""
    stem, parts = os.path.splitext(os.path.basename(name))[0], name.split(os.sep)
    return ("ImageSets" not in parts, "Main" not in parts, stem.lower() not in SPLIT_WORDS,
            len(parts), name)


def _names_pictures(folder: Folder, name: str) -> bool:
    """Whether the first lines of a list name pictures."""
    path = folder.path(name)
    if os.path.getsize(path) > MAX_LIST_BYTES:
        return False
    try:
        if name.lower().endswith(".csv"):
            names = list(read_csv(path).annotations)[:_LINES]
        else:
            names = [line for line in folder.head(name).split("\n") if line.strip()][:_LINES]
            names = names[:-1] if len(names) == _LINES else names
    except AnnotationError:
        return False
    near = os.path.dirname(path)
    return bool(names) and all(_is_named(folder, line, near) for line in names)


def _is_named(folder: Folder, line: str, near: str) -> bool:
    line = line.strip().lstrip("\ufeff")
    return bool(line) and (folder.index.find(line, near) is not None
                           or folder.index.find(line.split()[0], near) is not None)


def splits_by_folders(folder: Folder, pictures: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """{split: folders} when pictures lie in folders that are named after splits."""
    found: dict[str, dict[str, None]] = {}
    for path in pictures:
        parts = os.path.dirname(folder.name(path)).split(os.sep)
        for depth, part in enumerate(parts, 1):
            split = SPLIT_WORDS.get(re.sub(r"[\d_]+$", "", part.lower()))
            if split is not None:
                found.setdefault(split, {})[os.path.join(*parts[:depth])] = None
                break
    return {split: tuple(folders) for split, folders in found.items()}


def pictures_of(folder: Folder, places: Iterable[str]) -> list[str]:
    """Paths of the pictures that lists, tables or folders (relative to the root) name."""
    found: list[str] = []
    for place in places:
        path = folder.path(place)
        if os.path.isdir(path):
            below = os.path.normpath(path) + os.sep
            found += [picture for picture in folder.pictures if picture.startswith(below)
                      or os.path.normpath(path) == folder.root]
        elif place.lower().endswith(".csv"):
            names = read_csv(path).annotations
            found += filter(None, (folder.index.find(name, os.path.dirname(path))
                                   for name in names))
        elif os.path.exists(path):
            found += read_list(folder.root, path, folder.index)[0]
    return list(dict.fromkeys(found))


def chosen(splits: dict[str, tuple[str, ...]]) -> tuple[str, str] | None:
    """The names of the splits to train and to test on; None when one of them is missing."""
    train = next((name for name in ("trainval", "train") if name in splits), None)
    if train == "trainval" and "test" not in splits and "train" in splits:
        train = "train"
    test = next((name for name in ("test", "val") if name in splits), None)
    if train is None or test is None or (train == "trainval" and test == "val"):
        return None
    return train, test
