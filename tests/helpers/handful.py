"""A data set of a handful of pictures, initial weights for Tiny, and the tools as commands."""
import os
import subprocess
import sys

import cv2
import numpy as np

import caffe
from caffe.files import weights
from faster_rcnn.settings.config import cfg

TOOLS = os.path.join(cfg.ROOT_DIR, "tools")
MODEL = os.path.join(cfg.MODELS_DIR, "Tiny", "faster_rcnn_alt_opt")
ANNOTATION = """<annotation><filename>{name}.jpg</filename>
<size><width>160</width><height>120</height><depth>3</depth></size>{objects}</annotation>"""
OBJECT = """<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{0}</xmin>
<ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"""
CARD = """name: handful
format: voc
root: {root}
classes: [dark, light]
train: trainval
test: test
metric: voc07
"""


def draw_picture(rng, folder, name):
    """160 x 120 pixels of noise with two or three rectangles, and their annotation."""
    im = rng.integers(90, 160, (120, 160, 3), dtype=np.uint8)
    objects = ""
    for left in (5, 60, 110)[:rng.integers(2, 4)]:
        x1, y1 = left + int(rng.integers(0, 8)), int(rng.integers(5, 50))
        x2, y2 = x1 + int(rng.integers(28, 36)), y1 + int(rng.integers(28, 60))
        dark = bool(rng.integers(0, 2))
        im[y1 - 1:y2, x1 - 1:x2] = 20 if dark else 235
        objects += OBJECT.format(x1, y1, x2, y2, name="dark" if dark else "light")
    cv2.imwrite(os.path.join(folder, "JPEGImages", name + ".jpg"), im)
    with open(os.path.join(folder, "Annotations", name + ".xml"), "w") as file:
        file.write(ANNOTATION.format(name=name, objects=objects))


def make_data_set(folder):
    """A VOC layout with six training and three test pictures; returns the path of its card."""
    rng = np.random.default_rng(7)
    for sub in ("JPEGImages", "Annotations", "ImageSets/Main"):
        os.makedirs(os.path.join(folder, sub))
    for split, count in (("trainval", 6), ("test", 3)):
        names = [f"{split}{i}" for i in range(count)]
        for name in names:
            draw_picture(rng, folder, name)
        with open(os.path.join(folder, "ImageSets", "Main", split + ".txt"), "w") as file:
            file.write("\n".join(names) + "\n")
    card = os.path.join(folder, "handful.yml")
    with open(card, "w") as file:
        file.write(CARD.format(root=folder))
    return card


def make_weights(path):
    """Random weights of Tiny's layers, written as a .caffemodel."""
    rng = np.random.default_rng(3)
    net = caffe.Net(os.path.join(MODEL, "faster_rcnn_test.pt"), caffe.TEST)
    layers = []
    for name, blobs in net.params.items():
        if name in ("cls_score", "bbox_pred"):
            continue
        shape = blobs[0].data.shape
        spread = np.sqrt(2 / np.prod(shape[1:]))
        arrays = [rng.normal(0, spread, shape).astype(np.float32),
                  np.zeros(shape[0], np.float32)]
        layers.append((name, "Convolution" if len(shape) == 4 else "InnerProduct", arrays))
    weights.write_weights(path, "Tiny", layers)


def places(folder):
    """--set values that keep results and caches of a test in its own folder."""
    return ["ROOT_DIR", str(folder), "DATA_DIR", str(folder)]


def output_of(folder, *names):
    """A path below what a tool writes with places(folder) and EXP_DIR "smoke dir"."""
    return os.path.join(str(folder), "output", "smoke dir", *names)


def results_of(folder, *names):
    """A path below the results of a training on the handful."""
    return output_of(folder, "handful_trainval", *names)


def command(tool, *args):
    """The command line of a tool, for subprocess."""
    return [sys.executable, os.path.join(TOOLS, tool), *map(str, args)]


def run_command(tool, *args, **options):
    """Runs a tool as users do; returns the CompletedProcess with its texts."""
    return subprocess.run(command(tool, *args), capture_output=True, text=True, cwd=cfg.ROOT_DIR,
                          timeout=300, **options)
