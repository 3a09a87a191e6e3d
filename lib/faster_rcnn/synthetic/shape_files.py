"""The embedded data set as files in VOC's layout: pictures, annotations, lists of splits.

The same options give the same bytes (with the same numpy and OpenCV); what was drawn is recorded in
MANIFEST.json, and a folder that matches it is left alone.
"""
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import cv2
import numpy as np

from caffe.core.errors import UserError
from caffe.core.types import FilePath
from faster_rcnn.files.atomic import write_text
from faster_rcnn.synthetic import shapes

FOLDERS = ("Annotations", "ImageSets", "JPEGImages")
VAL_EVERY = 5                  # every fifth trainval picture is in val, the others are in train
JPEG_QUALITY = 92


class ForeignFolderError(UserError, ValueError):
    """A folder that holds other files than the embedded data set."""


def fingerprint(seed: int, trainval: int, test: int) -> str:
    """SHA-256 of everything the files depend on: the drawing code, the options, the libraries."""
    parts = [Path(shapes.__file__).read_bytes(), Path(__file__).read_bytes(),
             f"{seed} {trainval} {test} numpy {np.__version__} cv2 {cv2.__version__}".encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def annotation_xml(name: str, image: np.ndarray, objects: list) -> str:
    """The VOC annotation of one picture; boxes are written 1-based as VOC does."""
    height, width, depth = image.shape
    size = f"<width>{width}</width><height>{height}</height><depth>{depth}</depth>"
    lines = ["<annotation>", "  <folder>shapes</folder>",
             f"  <filename>{escape(name)}.jpg</filename>", f"  <size>{size}</size>",
             "  <segmented>0</segmented>"]
    for shape in objects:
        x1, y1, x2, y2 = (int(v) + 1 for v in shape.box)
        corners = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
        lines += ["  <object>", f"    <name>{shape.name}</name>", "    <pose>Unspecified</pose>",
                  f"    <truncated>{int(shape.truncated)}</truncated>",
                  "    <difficult>0</difficult>",
                  f"    <bndbox>{corners}</bndbox>", "  </object>"]
    return "\n".join(lines + ["</annotation>", ""])


def split_names(trainval: int, test: int) -> dict[str, list[str]]:
    """Split name -> picture names; numbers run through trainval, then test."""
    names = [f"{i + 1:06d}" for i in range(trainval + test)]
    val = names[VAL_EVERY - 1:trainval:VAL_EVERY]
    return {"train": [n for n in names[:trainval] if n not in set(val)], "val": val,
            "trainval": names[:trainval], "test": names[trainval:]}


def files_of_set(seed: int, trainval: int, test: int) -> Iterator[tuple[str, bytes]]:
    """Yields (path in the set, bytes) of every file; every picture has its own generator."""
    for i in range(trainval + test):
        name = f"{i + 1:06d}"
        image, objects = shapes.render_scene(np.random.RandomState([seed, i]))
        _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        yield f"JPEGImages/{name}.jpg", jpeg.tobytes()
        yield f"Annotations/{name}.xml", annotation_xml(name, image, objects).encode()
    for split, names in split_names(trainval, test).items():
        yield f"ImageSets/Main/{split}.txt", "".join(f"{n}\n" for n in names).encode()


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Writes MANIFEST.json, whole or not at all."""
    write_text(folder / "MANIFEST.json", json.dumps(content, indent=1, sort_keys=True))


def is_current(folder: Path, wanted: str) -> bool:
    """Whether the manifest has the wanted fingerprint and every file has its recorded bytes."""
    try:
        manifest = json.loads((folder / "MANIFEST.json").read_text())
        return manifest["fingerprint"] == wanted and all(
            hashlib.sha256((folder / path).read_bytes()).hexdigest() == digest
            for path, digest in manifest["files"].items())
    except (OSError, ValueError, KeyError):
        return False


def write_set(folder: FilePath, seed: int, trainval: int, test: int, force: bool = False) -> bool:
    """Fills `folder`; returns True when it drew, False when everything was there already.

    seed: of the whole set; trainval, test: numbers of pictures; force: draw in any case.
    A folder with other files (and no MANIFEST.json of ours) is refused with a ForeignFolderError.
    """
    folder = Path(folder)
    wanted = fingerprint(seed, trainval, test)
    if not force and is_current(folder, wanted):
        return False
    if folder.exists() and any(folder.iterdir()) and not (folder / "MANIFEST.json").exists():
        raise ForeignFolderError(f"{folder} holds files of somebody else's; choose another folder "
                                 "with --output, or empty it")
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder, {"fingerprint": "unfinished", "files": {}})
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (folder / name).mkdir(parents=True)
    digests = {}
    for path, content in files_of_set(seed, trainval, test):
        (folder / path).write_bytes(content)
        digests[path] = hashlib.sha256(content).hexdigest()
    write_manifest(folder, {"fingerprint": wanted, "seed": seed, "files": digests})
    return True
