"""Recognises COCO's JSON files, a file per split or one for all, as Roboflow and others export."""
import os
import re
from collections import Counter

from faster_rcnn.annotations.coco_json import CocoFile, read_coco
from faster_rcnn.annotations.files import AnnotationError, OtherFormError
from faster_rcnn.datasets.samples.listed import lost_pictures
from faster_rcnn.datasets.samples.pictures import PictureIndex, coco_image_paths, plain_name
from faster_rcnn.folders.folder import Folder, Found
from faster_rcnn.folders.split_names import split_of_path

COCO_KEY = re.compile(r'"(images|categories|annotations)"\s*:\s*\[')
_LOOKED_AT = 40


def find_coco(folder: Folder) -> Found | None:
    """Pictures that COCO files name."""
    files = _coco_files(folder)
    images = {name: found for name, file in files.items()
              if (found := _image_folder(folder, file)) is not None}
    for name in files.keys() - images.keys():
        folder.refuse("coco", f"{files[name].path} {_lost(folder, _names(files[name]))}")
    splits: dict[str, tuple[str, ...]] = {}
    for name in images:
        split = split_of_path(name)
        if split is not None and split not in splits:
            splits[split] = (name, images[name])
    used = [names[0] for names in splits.values()] if len(splits) > 1 else sorted(
        images, key=lambda name: -len(files[name].images))[:1]
    notes = [f"{name} ({len(files[name].images)} pictures) is not used: there may be one file, or "
             "one for each split, whose name says train, val or test"
             for name in images if name not in used]
    pictures: dict[str, str] = {}
    for name in used:
        paths = coco_paths(folder, images[name], files[name])
        lost = [image for image, path in paths.items() if not os.path.isfile(path)]
        pictures.update({path: image for image, path in paths.items() if os.path.isfile(path)})
        if lost:
            notes.append(f"{name} {_lost(folder, lost)}: left out")
    classes = _used_classes([files[name] for name in used])
    if not pictures or not classes:
        return None
    return Found("coco", tuple(pictures), len(pictures), tuple(used), classes,
                 splits if len(splits) > 1 else {}, tuple(notes), images, pictures)


def coco_paths(folder: Folder, place: str, file: CocoFile) -> dict[str, str]:
    """{name in a file: path of the picture}; place: the folder of its images."""
    index = PictureIndex(os.path.normpath(folder.path(place)))
    return {name: os.path.normpath(path)
            for name, path in coco_image_paths(index, _names(file)).items()}


def _names(file: CocoFile) -> list[str]:
    return [image.file_name for image in file.images.values()]


def _lost(folder: Folder, names: list[str]) -> str:
    return lost_pictures(names, folder.index)


def _coco_files(folder: Folder) -> dict[str, CocoFile]:
    """The files with boxes: those of captions, of outlines alone and others are left out."""
    found = {}
    for name in folder.with_extension(".json"):
        if not COCO_KEY.search(folder.head(name)):
            continue
        try:
            file = read_coco(folder.path(name))
        except OtherFormError as error:
            folder.doubt(str(error))
            continue
        except AnnotationError as error:
            folder.refuse("coco", str(error))
            continue
        if file.images and any(obj.box is not None for objects in (file.objects or {}).values()
                               for obj in objects):
            found[name] = file
        else:
            folder.doubt(f"{file.path}: a file of COCO's form without a box (bbox)")
    return found


def _image_folder(folder: Folder, file: CocoFile) -> str | None:
    """The folder, relative to the root, below which a file's names lie, or the root where only
    their ends fit; None when no picture is found.
    """
    near, counts = os.path.dirname(file.path), Counter[str]()
    is_any_there = False
    for image in list(file.images.values())[:_LOOKED_AT]:
        path = folder.index.find(image.file_name, near)
        name = plain_name(image.file_name).lstrip("./")
        is_any_there = is_any_there or path is not None
        if path is not None and path.endswith(os.sep + name):
            counts[path[:-len(name) - 1]] += 1
    if counts:
        return folder.name(counts.most_common(1)[0][0])
    return "." if is_any_there else None


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
