"""File names for pictures of images, no two of them equal; names in Markdown."""
import os
import re
from collections import Counter
from collections.abc import Sequence

from faster_rcnn.files.naming import shortened

# Names of files have 255 bytes at most, and programs put words before and behind these
MAX_BYTES = 180


def in_markdown(name: str) -> str:
    """A name in one line of Markdown that shows it as it is, in a table too."""
    return re.sub(r"([\\`*\[\]<>|&~])", r"\\\1", " ".join(name.split()))


def distinct_names(paths: Sequence[str]) -> list[str]:
    """A name for each path, in order: the file's stem, where no other file has the same one.

    Otherwise it is the path below the common folder (cats/a.png: cats_a_png), and a number where
    that is not enough; a path that is given twice has one name. Capital and small letters count as
    equal, as on some disks. Long names are shortened.
    """
    files = [os.path.abspath(path) for path in paths]
    stems = {file: os.path.splitext(os.path.basename(file))[0] for file in files}
    counts = Counter(stem.lower() for stem in stems.values())
    folder = os.path.commonpath([os.path.dirname(file) for file in files]) if files else ""
    names: dict[str, str] = {}
    taken: set[str] = set()
    # unique stems first: a longer name gives way to them
    for file in sorted(stems, key=lambda file: counts[stems[file].lower()] > 1):
        name = stems[file]
        if counts[name.lower()] > 1:
            name = os.path.relpath(file, folder).replace(os.sep, "_").replace(".", "_")
        names[file] = _free(shortened(name, MAX_BYTES), taken)
        taken.add(names[file].lower())
    return [names[file] for file in files]


def _free(name: str, taken: set[str]) -> str:
    """The name, with the first number that makes it new."""
    number, candidate = 1, name
    while candidate.lower() in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate
