"""Kinds of pictures by the extensions of their files, in small letters."""
import os
from collections.abc import Iterable

# What is looked for in folders
READ = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
# Pictures that have to be converted first
UNREAD = (".heic", ".heif", ".gif", ".avif", ".svg", ".jxl", ".cr2", ".cr3", ".nef", ".arw", ".dng",
          ".raf", ".orf", ".rw2", ".psd")


def unread_pictures(paths: Iterable[str]) -> str:
    """A sentence about the pictures among files that are not read; empty where there are none."""
    names = [path for path in paths if path.lower().endswith(UNREAD)]
    if not names:
        return ""
    kinds = sorted({os.path.splitext(name)[1].lower() for name in names})
    what = (f"a picture of a kind that is not read ({kinds[0]}), {names[0]}, is" if len(names) == 1
            else f"{len(names)} pictures of kinds that are not read ({', '.join(kinds)}), such as "
            f"{names[0]}, are")
    return f"{what} left out; convert to .jpg or .png"
