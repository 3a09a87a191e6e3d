"""Pictures below a folder, and which of them a name in a file means."""
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from caffe.core.errors import UserError
from faster_rcnn.images.kinds import READ

# What files of pictures without an extension start with: JPEG, PNG
_STARTS = (b"\xff\xd8\xff", b"\x89PNG")
# Label Studio's mark before the names of uploaded files
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")
MAX_FILES = 2_000_000
# Folders that hold no data: hidden ones, and what macOS puts into archives
_SKIPPED = ("__MACOSX",)


class FolderError(UserError, ValueError):
    """A folder that cannot be used as a data set; the message names it."""


def files_below(root: str) -> list[str]:
    """Paths of all files below a folder, relative to it, sorted; hidden ones are left out.

    Links to folders are followed, each folder once. FolderError for more than MAX_FILES.
    """
    found: list[str] = []
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if _is_shown(name))
        found += [os.path.relpath(os.path.join(folder, name), root)
                  for name in names if _is_shown(name)]
        if len(found) > MAX_FILES:
            raise FolderError(f"{root}: more than {MAX_FILES} files, which is the limit")
    return sorted(found)


def is_picture(path: str) -> bool:
    """Whether a file is named like a picture, or has no extension and starts like one."""
    extension = os.path.splitext(path)[1].lower()
    if extension:
        return extension in READ
    try:
        with open(path, "rb") as file:
            return file.read(4).startswith(_STARTS)
    except OSError:
        return False


def pictures_below(root: str) -> list[str]:
    """Paths of the pictures below a folder, joined to it, sorted."""
    return [path for path in (os.path.join(root, name) for name in files_below(root))
            if is_picture(path)]


class PictureIndex:
    """Finds the pictures below a root that names in files mean; the folder is read when needed."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._names: dict[str, list[str]] | None = None

    def find(self, name: str, near: str) -> str | None:
        """The path of the picture that a file in the folder `near` calls `name`; None for none.

        A name is a path from `near`, from the root or from another machine (also with \\), of which
        the end must fit; its extension may be another or missing. None when several pictures fit
        equally well.
        """
        plain = plain_name(name)
        for base in (near, self.root):
            path = os.path.normpath(os.path.join(base, plain))
            if os.path.isfile(path):
                return path
        for key in _keys(plain):
            fitting = self._best(self._known().get(key, ()), plain)
            if len(fitting) == 1:
                return fitting[0]
        return None

    def fault(self, name: str) -> str:
        """Why `find` has no answer: the picture is not there, or several are."""
        for key in _keys(plain_name(name)):
            fitting = self._best(self._known().get(key, ()), plain_name(name))
            if len(fitting) > 1:
                shown = ", ".join(os.path.relpath(path, self.root) for path in fitting[:3])
                return f"is there {len(fitting)} times ({shown}); say its folder as well"
        return "is not there"

    def _known(self) -> dict[str, list[str]]:
        """Paths by file name and by file name without extension, in small letters."""
        if self._names is None:
            self._names = defaultdict(list)
            for path in pictures_below(self.root):
                name = _composed(os.path.basename(path)).lower()
                self._names[name].append(path)
                stem = os.path.splitext(name)[0]
                if stem != name:
                    self._names[stem].append(path)
        return self._names

    def _best(self, paths: Iterable[str], name: str) -> list[str]:
        """The paths whose folders fit those of a name best."""
        wanted = _folders(name)
        scored = [(_common_end(wanted, _folders(os.path.relpath(path, self.root))), path)
                  for path in paths]
        best = max((score for score, _ in scored), default=0)
        return [path for score, path in scored if score == best]


def coco_image_path(index: PictureIndex, name: str) -> str:
    """The path of an image that a COCO file names; index: of the folder of its images."""
    path = os.path.join(index.root, name)
    return path if os.path.isfile(path) else index.find(name, index.root) or path


def _keys(plain: str) -> list[str]:
    """What a picture's name is looked for as: itself, without extension, without an upload's mark.
    """
    name = _composed(os.path.basename(plain)).lower()
    keys = []
    for text in dict.fromkeys((name, _UPLOADED.sub("", name))):
        stem, extension = os.path.splitext(text)
        keys += [text, *([stem] if extension in READ else [])]
    return keys


def _composed(name: str) -> str:
    """A name with one character for a letter with its accent; macOS writes two."""
    return unicodedata.normalize("NFC", name)


def plain_name(name: str) -> str:
    """A path as a file has it with the separators of this machine, without drive and quotes."""
    plain = name.strip().strip("\"'").replace("\\", "/")
    return plain[2:] if plain[1:2] == ":" else plain


def _folders(path: str) -> list[str]:
    return _composed(os.path.dirname(path)).lower().split("/")[::-1]


def _common_end(first: list[str], second: list[str]) -> int:
    """Number of equal folders, from the file outwards."""
    count = 0
    for a, b in zip(first, second):
        if a != b:
            break
        count += 1
    return count


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name not in _SKIPPED
