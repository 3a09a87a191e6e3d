"""Makes a corpus of broken input files, the same for the same seed.

    python tests/corpus/make_broken.py FOLDER [COUNT [SEED]]     # with caffe on PYTHONPATH

writes COUNT damaged files of every kind (40 by default) and the hostile ones that are described
below, as <kind>/<name>. tests/corpus/test_broken.py reads them.
"""
import io
import json
import os
import pickle
import random
import struct
import sys
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import safetensors.torch
import scipy.io
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "helpers"))
import fuzz_files  # noqa: E402  (the random changes, and seeds of the engine's files)

CARD = b"""name: parts
format: voc
root: data
classes: [bolt, nut]
splits: {test: lists/test.txt}
metric: voc07
on_bad_box: clamp
"""
SETTINGS = b"""EXP_DIR: &name run
TRAIN:
  SCALES: [400, 500]
  BG_THRESH_LO: 1e-3
  ASPECT_GROUPING: True
LIST: !!python/tuple [1, *name, null, 2020-01-02]
"""
OBJECT = ("<object><name>bolt</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin>"
          "<xmax>30</xmax><ymax>40.5</ymax></bndbox></object>")
ANNOTATION = ("<annotation><filename>a.jpg</filename><size><width>60</width><height>50</height>"
              f"</size>{OBJECT * 2}</annotation>").encode()
COCO = json.dumps({
    "images": [{"id": i, "file_name": f"{i}.jpg", "width": 60, "height": 50} for i in (1, 2)],
    "categories": [{"id": 3, "name": "bolt"}],
    "annotations": [{"id": 7, "image_id": 1, "category_id": 3, "bbox": [1, 2.5, 30, 20],
                     "area": 600, "iscrowd": 0}]}).encode()
BOXES = np.array([[1, 2, 30, 40], [5, 6, 20, 20]], np.float32)


class Broken(NamedTuple):
    """A file: its kind, name and content; `refused`: whether it must not be read."""

    kind: str
    name: str
    content: bytes
    refused: bool = False


def images() -> list[bytes]:
    """A picture in several formats."""
    im = np.random.default_rng(0).integers(0, 255, (50, 60, 3), np.uint8)
    im = cv2.GaussianBlur(im, (0, 0), 2)
    return [cv2.imencode(f".{kind}", im)[1].tobytes() for kind in ("jpg", "png", "bmp", "webp",
                                                                    "tiff")]


def written(write, *arguments, **options) -> bytes:
    """What a function writes to a file."""
    file = io.BytesIO()
    write(file, *arguments, **options)
    return file.getvalue()


def seeds() -> dict[str, tuple[str, list[bytes], bool]]:
    """{kind: (name of the files, whole contents, whether they are text)}."""
    tensors = {"features.0.weight": torch.zeros(2, 3), "b": torch.ones(2)}
    cells = np.empty((1, 2), object)
    cells[0, :] = BOXES, BOXES[:1]
    return {
        "card": ("parts.yml", [CARD], True), "yaml": ("settings.yml", [SETTINGS], True),
        "annotation": ("a.xml", [ANNOTATION], True), "coco": ("train.json", [COCO], True),
        "list": ("trainval.txt", [b"a\nb\n", "a\nb\n".encode("utf-16")], True),
        "results": ("det_bolt.txt", [b"a 0.9 1 2 30 40\nb c 0.25 3 4 5.5 6\n"], True),
        "image": ("a.jpg", images(), False),
        "pickle": ("detections.pkl", [pickle.dumps([[[], BOXES], {"ap": np.float64(1)}], protocol)
                                      for protocol in (0, 2, 4)], False),
        "proposals": ("proposals.pkl", [pickle.dumps([BOXES, BOXES[:1]], 2)], False),
        "matlab": ("boxes.mat", [written(scipy.io.savemat, {"boxes": cells}, do_compression=packed)
                                 for packed in (False, True)], False),
        "npz": ("state.npz", [written(np.savez, **{"net:a": BOXES, "net:b": np.arange(3)})], False),
        "pth": ("w.pth", [written(lambda file: torch.save(tensors, file))], False),
        "safetensors": ("w.safetensors", [safetensors.torch.save(tensors)], False),
        "prototxt": ("net.prototxt", [fuzz_files.NET.encode(), fuzz_files.OLD_NET.encode()], True),
        "solver": ("solver.prototxt", [fuzz_files.SOLVER.encode()], True),
        "caffemodel": ("w.caffemodel", [caffemodel()], False)}


def caffemodel() -> bytes:
    """The weights of a small net."""
    message = fuzz_files.pb.NetParameter(name="net")
    layer = message.layer.add(name="fc", type="InnerProduct")
    for shape in ((3, 4), (3,)):
        blob = layer.blobs.add(data=range(int(np.prod(shape))))
        blob.shape.dim.extend(shape)
    return message.SerializeToString()


def hostile() -> Iterator[Broken]:
    """Files that were made to break a reader, each of which must be refused."""
    deep, many = 100_000, 100_000
    laughs = b"a0: &a0 [1]\n" + b"".join(
        b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 11))
    page, pointer = b"<!DOCTYPE html><html><p>404</html>", b"version https://git-lfs.github.com/spec"
    for kind, name in (("card", "c.yml"), ("yaml", "s.yml")):
        yield Broken(kind, "deep_" + name, b"a: " + b"{b: " * deep, True)
        yield Broken(kind, "laughs_" + name, laughs, True)
        yield Broken(kind, "itself_" + name, b"name: &a [*a]", True)
        yield Broken(kind, "latin1_" + name, "name: caf\xe9".encode("latin-1"), True)
        yield Broken(kind, "code_" + name, b"name: !!python/object/apply:os.getcwd []", True)
    yield Broken("annotation", "many.xml", ANNOTATION.replace(
        b"</annotation>", OBJECT.encode() * many + b"</annotation>"), True)
    yield Broken("annotation", "deep.xml", b"<annotation>" + b"<a>" * deep, True)
    entities = b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "' + b"&a;" * 99 + b'">]>'
    yield Broken("annotation", "entities.xml", entities + b"<annotation>&b;</annotation>", True)
    yield Broken("annotation", "page.xml", b"<html><body>404</body></html>", True)
    yield Broken("annotation", "cvat.xml", b"<annotations><image><box/></image></annotations>",
                 True)
    yield Broken("coco", "deep.json", b"[" * deep, True)
    yield Broken("coco", "digits.json", b'{"images": ' + b"9" * 5000 + b"}", True)
    yield Broken("coco", "page.json", page, True)
    yield Broken("list", "latin1.txt", "caf\xe9\n".encode("latin-1"), True)
    yield Broken("list", "empty.txt", b" \n\n", True)
    yield Broken("image", "page.jpg", page, True)
    yield Broken("image", "pointer.jpg", pointer, True)
    yield Broken("image", "bomb.png", png_header(60_000, 60_000), True)
    yield Broken("pickle", "memo.pkl", b"\x80\x02Nr\xff\xff\xff\x7f", True)
    yield Broken("pickle", "code.pkl", b"cos\ngetcwd\n(tR.", True)
    yield Broken("pickle", "key.pkl", b"\x80\x02})" + b"\x85" * deep + b"Ns.", True)
    yield Broken("pickle", "bytes.pkl", b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little"), True)
    for kind, name in (("pth", "w.pth"), ("safetensors", "w.safetensors")):
        yield Broken(kind, "page_" + name, page, True)
        yield Broken(kind, "pointer_" + name, pointer, True)
    yield Broken("safetensors", "header.safetensors", b"\xff" * 7 + b"\x7f{" + bytes(50), True)
    yield Broken("prototxt", "deep.prototxt", b"layer {" * deep, True)


def png_header(width: int, height: int) -> bytes:
    """The first chunk of a PNG of a size, and no pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
            + struct.pack(">I", zlib.crc32(chunk)) + bytes(100))


def damaged(count: int, seed: int) -> Iterator[Broken]:
    """`count` files of every kind after random changes; some may still be right."""
    for kind, (name, contents, is_text) in seeds().items():
        rng = random.Random(f"{kind} {seed}")
        for number in range(count):
            yield Broken(kind, f"{number:03d}_{name}", fuzz_files.damaged(rng, contents, is_text))


def corpus(count: int = 40, seed: int = 0) -> list[Broken]:
    """All broken files."""
    return [*damaged(count, seed), *hostile()]


def main(folder: str, count: str = "40", seed: str = "0") -> None:
    files = corpus(int(count), int(seed))
    for broken in files:
        os.makedirs(os.path.join(folder, broken.kind), exist_ok=True)
        with open(os.path.join(folder, broken.kind, broken.name), "wb") as file:
            file.write(broken.content)
    print(f"{len(files)} files of {len({broken.kind for broken in files})} kinds in {folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])
