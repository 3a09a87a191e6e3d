"""Lists of some of the images of a COCO file, which several splits can so share."""
import os

from faster_rcnn.annotations.coco_json import CocoFile, CocoImage
from faster_rcnn.annotations.problems import Problem
from faster_rcnn.datasets.cards.card import Card, CardError
from faster_rcnn.datasets.samples.pictures import plain_name
from faster_rcnn.datasets.samples.voc_files import MAX_LIST_BYTES
from faster_rcnn.files.reading import EncodingError, FileError, read_text


def listed_images(card: Card, split: str, file: CocoFile) -> tuple[list[CocoImage], list[Problem]]:
    """The images of a split, in the file's order: all, or those that its list names.

    A line of the list is a file_name, or its last part. Names that the file does not have are
    Problems.
    """
    path = card.coco_list(split)
    if not path:
        return list(file.images.values()), []
    try:
        lines = read_text(path, MAX_LIST_BYTES).split("\n")
    except (FileError, EncodingError) as error:
        raise CardError(f"data set {card.name}: {error}") from None
    wanted = {plain_name(line) for line in lines if line.strip()}
    found, used = [], set()
    for image in file.images.values():
        name = plain_name(image.file_name)
        key = name if name in wanted else os.path.basename(name)
        if key in wanted:
            found.append(image)
            used.add(key)
    problems = [Problem(path, "", f"names image {name}, which {file.path} does not have",
                        "image left out") for name in sorted(wanted - used)]
    if not found:
        raise CardError(f"data set {card.name}: {path} names no image of {file.path}")
    return found, problems
