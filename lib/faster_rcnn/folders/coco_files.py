"""Recognises COCO's JSON files, a file per split or one for all, as Roboflow and others export."""
import os
import re
from collections import Counter

from faster_rcnn.annotations.coco_json import CocoFile, read_coco
from faster_rcnn.annotations.files import AnnotationError
from faster_rcnn.folders.folder import Folder, Found
from faster_rcnn.folders.split_names import SPLIT_WORDS, split_of

COCO_KEY = re.compile(r'"(images|categories|annotations)"\s*:\s*\[')
_LOOKED_AT = 40


def find_coco(folder: Folder) -> Found | None:
    """Pictures that COCO files name."""
    files = _coco_files(folder)
    if not files:
        return None
    images = {name: found for name, file in files.items()
              if (found := _image_folder(folder, file)) is not None}
    notes = [f"the pictures of {name} are not there" for name in files if name not in images]
    splits: dict[str, tuple[str, ...]] = {}
    for name in images:
        split = _split_of(name)
        if split is not None and split not in splits:
            splits[split] = (name, images[name])
    used = [names[0] for names in splits.values()] if len(splits) > 1 else sorted(
        images, key=lambda name: -len(files[name].images))[:1]
    notes += [f"{name} is not used" for name in images if name not in used]
    pictures: list[str] = []
    for name in used:
        base = folder.path(images[name])
        paths = {number: os.path.normpath(os.path.join(base, image.file_name))
                 for number, image in files[name].images.items()}
        there = {number: path for number, path in paths.items() if os.path.isfile(path)}
        pictures += there.values()
    classes = _used_classes([files[name] for name in used])
    if not pictures or not classes:
        return None
    return Found("coco", tuple(dict.fromkeys(pictures)), len(set(pictures)), tuple(used), classes,
                 splits if len(splits) > 1 else {}, tuple(notes), images)


def _coco_files(folder: Folder) -> dict[str, CocoFile]:
    """The files with boxes: those of captions, of outlines alone and others are left out."""
    found = {}
    for name in folder.with_extension(".json"):
        if not COCO_KEY.search(folder.head(name)):
            continue
        try:
            file = read_coco(folder.path(name))
        except AnnotationError:
            continue
        if file.images and any(obj.box is not None for objects in (file.objects or {}).values()
                               for obj in objects):
            found[name] = file
    return found


def _image_folder(folder: Folder, file: CocoFile) -> str | None:
    """The folder, relative to the root, below which a file's names lie; None when none is found."""
    near, counts = os.path.dirname(file.path), Counter[str]()
    for image in list(file.images.values())[:_LOOKED_AT]:
        path = folder.index.find(image.file_name, near)
        if path is not None and path.endswith(os.sep + image.file_name.lstrip("./")):
            counts[path[:-len(image.file_name.lstrip("./")) - 1]] += 1
    return folder.name(counts.most_common(1)[0][0]) if counts else None


def _split_of(name: str) -> str | None:
    """The split that the name of a file, or else of its folder, speaks of."""
    own = split_of(os.path.splitext(os.path.basename(name))[0])
    parts = [SPLIT_WORDS[part] for part in os.path.dirname(name).lower().split(os.sep)
             if part in SPLIT_WORDS]
    return own or (parts[-1] if parts else None)


def _used_classes(files: list[CocoFile]) -> tuple[str, ...]:
    """The categories with an annotation, by id: Roboflow's first one is the name of the project."""
    used: dict[str, None] = {}
    for file in files:
        counts = Counter(obj.category_id for objects in (file.objects or {}).values()
                         for obj in objects)
        for number in sorted(file.categories):
            if counts[number] and file.categories[number].lower() not in map(str.lower, used):
                used[file.categories[number]] = None
    return tuple(used)
