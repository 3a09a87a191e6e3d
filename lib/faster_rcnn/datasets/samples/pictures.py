"""Pictures below a folder, and which of them a name in a file means."""
import os
import re
import unicodedata
from collections import Counter, defaultdict
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
        self._ends: dict[str, dict[tuple[str, ...], list[str]]] = {}

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
            fitting = self._best(key, plain)
            if len(fitting) == 1:
                return fitting[0]
        return None

    def find_all(self, names: Iterable[str], near: str) -> dict[str, str]:
        """{name: path} of those names of a file that `find` finds.

        A name with other folders than the picture's (b/1.jpg for a/1.jpg) is not found where
        another name means this picture: it is that of a picture that is missing.
        """
        found = {name: path for name in names if (path := self.find(name, near)) is not None}
        counts = Counter(found.values())
        return {name: path for name, path in found.items()
                if counts[path] == 1 or self._has_folders(path, plain_name(name))}

    def fault(self, name: str) -> str:
        """Why `find` has no answer: the picture is not there, or several are."""
        for key in _keys(plain_name(name)):
            fitting = self._best(key, plain_name(name))
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

    def _best(self, key: str, name: str) -> list[str]:
        """Of the paths with a key of _known those whose folders fit those of a name best."""
        paths = self._known().get(key, [])
        if len(paths) < 2:
            return paths
        if key not in self._ends:
            self._ends[key] = defaultdict(list)
            for path in paths:
                folders = _folders(os.path.relpath(path, self.root))
                for count in range(len(folders)):
                    self._ends[key][tuple(folders[:count + 1])].append(path)
        wanted = _folders(name)
        ends = (tuple(wanted[:count]) for count in range(len(wanted), 0, -1))
        return next((self._ends[key][end] for end in ends if end in self._ends[key]), paths)

    def _has_folders(self, path: str, name: str) -> bool:
        """Whether a name's folders are those of a path, or as many of them as it has."""
        pairs = zip(_folders(os.path.relpath(path, self.root)), _folders(name))
        return all(own == written for own, written in pairs if own and written not in ("", "."))


def coco_image_paths(index: PictureIndex, names: Iterable[str]) -> dict[str, str]:
    """{name: path} of the images that a COCO file names, also where there is no such file; index:
    of the folder of its images.
    """
    names = list(names)
    found = index.find_all(names, index.root)
    paths = {name: os.path.join(index.root, name) for name in names}
    return {name: path if os.path.isfile(path) else found.get(name, path)
            for name, path in paths.items()}


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


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name not in _SKIPPED
