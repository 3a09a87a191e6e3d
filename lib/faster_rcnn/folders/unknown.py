"""Folders in which no recogniser found anything: one line about what is there, and what to do."""
import os
import re

from faster_rcnn.datasets.samples.pictures import FolderError
from faster_rcnn.folders.folder import WORDS, Folder
from faster_rcnn.images.kinds import READ, unread_pictures

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".rar", ".7z")
LABELS = (".xml", ".json", ".txt")
USUAL_ADVICE = "export the annotations as COCO's JSON or Pascal VOC's XML"
# (extension, what the beginning or end of such a file has, whose form it is)
FOREIGN = (
    (".json", re.compile(r'"classTitle"\s*:'), "Supervisely's JSON"),
    (".json", re.compile(r'"categories"\s*:\s*\{\s*"label"'), "Datumaro's JSON"),
    (".json", re.compile(r'"boundingBox"\s*:'), "VoTT's JSON"),
    (".json", re.compile(r'"box2d"\s*:'), "BDD100K's JSON"),
    (".json", re.compile(r'"(data_row|data_units)"\s*:'), "the JSON of Labelbox or Encord"),
    (".json", re.compile(r'"vid"\s*:.*"xy"\s*:', re.DOTALL), "the JSON of VIA 3"),
    (".csv", re.compile(r"rectanglelabels"), "Label Studio's table, whose JSON is read"),
    (".csv", re.compile(r"^(TRAIN|TEST|VALIDATION|UNASSIGNED),"), "the table of Google's AutoML"),
    (".txt", re.compile(r"^\S+\.(jpe?g|png)( \d+,\d+,\d+,\d+,\d+)+\s*$", re.MULTILINE),
     "lists of keras-yolo"),
    (".txt", re.compile(r"^\D\S* [\d.]+ -?\d+( -?[\d.]+){12}", re.MULTILINE),
     "KITTI's label files"),
    (".txt", re.compile(r"^(-?[\d.]+ ){8}[a-z][\w-]* \d\s*$", re.MULTILINE), "DOTA's label files"),
    (".tfrecord", re.compile(""), "TensorFlow's records"),
    (".xml", re.compile(r"<dataset>.*<images>", re.DOTALL), "dlib's XML"),
    (".xml", re.compile(r"<track "), "CVAT's tracks of videos"),
)
_READ_AT_MOST = 200     # files of a folder


def refuse_path(word: str) -> None:
    """FolderError for a word that means a path, not the name of a data set, and is no folder."""
    is_path = os.sep in word or word.lower().endswith(ARCHIVES) or os.path.exists(word)
    if is_path and not os.path.isdir(word):
        raise FolderError(no_folder(word))


def no_folder(path: str) -> str:
    """Why a path is no folder of pictures."""
    if not os.path.exists(path):
        return f"{path} is not a folder: there is nothing of this name"
    if path.lower().endswith(ARCHIVES):
        return f"{path} is not a folder but an archive; unpack it, and name the folder"
    return f"{path} is not a folder; name the folder that holds the pictures"


def unnamed(folder: Folder) -> str:
    """A sentence about files whose names are no text; empty where there are none."""
    if not folder.unnamed:
        return ""
    return (f"{len(folder.unnamed)} files are left out, since their names are no text in UTF-8, "
            f"such as {folder.unnamed[0]!r}; rename them (convmv does it)")


def why_nothing(folder: Folder, form: str | None) -> str:
    """Why nothing can be trained on, in a line; form: the format that was asked for."""
    reason = unnamed(folder) or _no_pictures(folder) or _no_annotations(folder, form)
    return f"{folder.root}: {reason}"


def _no_pictures(folder: Folder) -> str:
    """What is there instead of pictures; empty where there are some."""
    if folder.pictures:
        return ""
    if not folder.files:
        return "the folder is empty"
    archives = folder.with_extension(*ARCHIVES)
    if archives:
        return f"no pictures, but an archive, {archives[0]}; unpack it"
    if any('"imageData"' in folder.head(name) for name in folder.with_extension(".json")[:5]):
        return "no pictures: those inside LabelMe's JSON are not read; put them beside the files"
    return unread_pictures(folder.files) or (
        f"no pictures ({', '.join(READ)}) among {len(folder.files)} files; put them into the "
        "same folder as the annotations, or one below it")


def _no_annotations(folder: Folder, form: str | None) -> str:
    what = f"annotations as {WORDS[form]}" if form else "annotations of a known format"
    words = f"no {what} were found for its {len(folder.pictures)} pictures"
    refused = [sentence for name, sentences in folder.refused.items()
               if form in (None, name) for sentence in sentences]
    for reason in (refused[0] if refused else "", _foreign(folder), _strangers(folder),
                   folder.doubtful[0] if folder.doubtful else "", _only_pictures(folder)):
        if reason:
            return f"{words}: {reason}"
    return f"{words} among {len(folder.files)} files; known are {', '.join(WORDS.values())}"


def _foreign(folder: Folder) -> str:
    """Whose form files have that are not read."""
    for extension, start, whose in FOREIGN:
        for name in folder.with_extension(extension)[:_READ_AT_MOST]:
            if start.search(folder.head(name)) or start.search(folder.tail(name)):
                return f"{name} has the form of {whose}; it is not read: {USUAL_ADVICE}"
    return ""


def _strangers(folder: Folder) -> str:
    """Annotation files whose names are not those of pictures."""
    stems = {_stem(path) for path in folder.pictures}
    for extension in LABELS:
        names = folder.with_extension(extension)
        alone = [name for name in names if _stem(name) not in stems]
        if len(alone) > 1 and len(alone) == len(names):
            return (f"its {len(alone)} {extension} files have other names than the pictures "
                    f"({alone[0]}, {folder.name(folder.pictures[0])}); the annotations of a "
                    "picture are in the file of the same name")
    return ""


def _only_pictures(folder: Folder) -> str:
    """What is missing where there are pictures alone, in folders of classes or not."""
    if len(folder.files) != len(folder.pictures):
        return ""
    return ("there are only pictures; a detector learns from boxes around the objects, drawn with "
            "LabelImg, LabelMe, CVAT or Label Studio")


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0].lower()
