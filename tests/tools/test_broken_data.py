"""A data set of 200 images, 21 of them spoilt, trains without code; all that is wrong is named."""
import os
import re

import cv2
import numpy as np
import pytest
from handful import draw_picture, places, run_command
from PIL import Image
from test_alt_opt_smoke import CFG, SETTINGS
from test_tool_errors import assert_refused, spoil

from caffe.files.prototxt import read_net
from faster_rcnn.settings.config import cfg

NUM_IMAGES = 200
WEIGHTS = os.path.join(cfg.ROOT_DIR, "data", "imagenet_models", "Tiny.v2.caffemodel")
CARD = """format: voc
root: .
classes: [dark, light]
on_unknown_class: skip
"""
# What is replaced in an annotation: the first object's corners have values of their own
SPOILT_TEXTS = {
    "unknown": ("<name>dark</name>|<name>light</name>", "<name>darc</name>"),
    "noname": ("<name>dark</name>|<name>light</name>", ""),
    "left": (r"<xmin>\d+", "<xmin>0"), "notanumber": (r"<xmin>\d+", "<xmin>NaN"),
    "outside": (r"(?s)<xmin>.*?</ymax>", "<xmin>170</xmin><ymin>5</ymin><xmax>190</xmax>"
                "<ymax>9</ymax>"),
    "inverted": (r"(?s)<xmin>.*?</ymax>", "<xmin>50</xmin><ymin>5</ymin><xmax>20</xmax>"
                 "<ymax>9</ymax>"),
    "zerosize": (r"(?s)<xmin>.*?</ymax>", "<xmin>50</xmin><ymin>5</ymin><xmax>50</xmax>"
                 "<ymax>5</ymax>"),
    "fraction": (r"<xmin>(\d+)", r"<xmin>\1.5"), "nobndbox": (r"(?s)<bndbox>.*?</bndbox>", ""),
    "size": ("<width>160", "<width>120"), "noobject": (r"(?s)<object>.*</object>", ""),
    "unclosed": ("</annotation>", ""), "emptyxml": ("(?s).*", "")}
# Words of the line that names each spoilt image, in the log of a training
WORDS = {
    "unknown": 'of class "darc"', "noname": "has no class name", "left": "clamped to 1,",
    "notanumber": "not finite", "outside": "lies outside the image; skipped",
    "inverted": "corners are in the wrong order; skipped", "zerosize": "1 boxes one pixel wide",
    "fraction": "1 boxes with fractions", "nobndbox": "has no bndbox; skipped",
    "size": "says that the image has 120 x 120 pixels", "noobject": "1 images without an object",
    "unclosed": "not well-formed XML", "emptyxml": "not well-formed XML",
    "noxml": "the annotation file is not there; image left out",
    "noimage": "of split trainval is missing; image left out", "truncated": "is cut off",
    "truncatedpng": "is cut off", "emptyjpg": "is empty; image left out",
    "notanimage": "cannot be decoded as an image", "twice": "2 times; used once",
    "turned": "1 images to be shown turned (EXIF orientation)"}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Path of the card."""
    folder = tmp_path_factory.mktemp("broken")
    for sub in ("JPEGImages", "Annotations", "ImageSets/Main"):
        os.makedirs(folder / sub)
    rng = np.random.default_rng(1)
    good = [f"good{i:03d}" for i in range(NUM_IMAGES - len(WORDS))]
    names = [*good, *(f"bad_{name}_" for name in WORDS)]
    for name in names:
        draw_picture(rng, str(folder), name)
    for name, (pattern, replacement) in SPOILT_TEXTS.items():
        path = folder / "Annotations" / f"bad_{name}_.xml"
        text = path.read_text()
        spoilt = re.sub(pattern, replacement, text, count=1)
        assert spoilt != text
        path.write_text(spoilt)
    spoil_images(folder)
    os.remove(folder / "Annotations" / "bad_noxml_.xml")
    (folder / "ImageSets" / "Main" / "trainval.txt").write_text(
        "\n".join([*names, "bad_twice_"]) + "\n")
    (folder / "broken.yml").write_text(CARD)
    return str(folder / "broken.yml")


def spoil_images(folder):
    path = {name: folder / "JPEGImages" / f"bad_{name}_.jpg" for name in WORDS}
    os.remove(path["noimage"])
    path["emptyjpg"].write_bytes(b"")
    path["notanimage"].write_bytes(b"<html>404</html>" * 40)
    whole = path["truncated"].read_bytes()
    path["truncated"].write_bytes(whole[:len(whole) // 2])
    cv2.imwrite(str(path["truncatedpng"].with_suffix(".png")), cv2.imread(str(path["left"])))
    os.remove(path["truncatedpng"])
    png = path["truncatedpng"].with_suffix(".png")
    png.write_bytes(png.read_bytes()[:2000])
    with Image.open(path["turned"]) as im:
        exif = im.getexif()
        exif[0x0112] = 6
        im.save(path["turned"], exif=exif)


def assert_each_named_once(text, words):
    lines = text.splitlines()
    for name, expected in words.items():
        naming = [line for line in lines if f"bad_{name}_" in line]
        assert len(naming) == 1, (name, naming)
        assert naming[0].count(f"bad_{name}_") == 1 and expected in naming[0], naming


def test_the_schedule_trains_and_names_everything(broken, tmp_path):
    done = run_command("train_faster_rcnn_alt_opt.py", "--cpu", "--net_name", "Tiny", "--weights",
                       WEIGHTS, "--imdb", broken + ":trainval", "--cfg", CFG, "--iters",
                       "3,3,3,3", "--lr", "0.001", "--scale", "60", "--set", *SETTINGS,
                       "ANCHOR_SCALES", "[1, 2]", "ANCHOR_RATIOS", "[1]", *places(tmp_path))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "Final model: " in done.stdout and "Traceback" not in done.stderr
    assert_each_named_once(done.stdout, WORDS)
    # five images are not there or broken; three annotations, and those without objects, train not
    usable = NUM_IMAGES - 5
    assert f"im_proposals: {usable}/{usable}" in done.stdout
    assert f"roidb len: {2 * usable}" in done.stdout
    [path] = tmp_path.glob("**/stage1_rpn_train.pt")
    [layer] = [layer for layer in read_net(path).layer if layer.name == "rpn_cls_score"]
    assert layer.convolution_param.num_output == 2 * 2        # two scores for each of two anchors


def test_the_check_names_everything(broken, run_tool, tmp_path):
    done = run_tool("check_data.py", broken, "--out", tmp_path)
    assert done.status == 1, done.err
    suspicious = {"zerosize": "is a box one pixel", "turned": "is to be shown turned"}
    assert_each_named_once(done.out, {**WORDS, **suspicious})
    assert f"{len(WORDS) - 2} findings" in done.out       # no object, fractions: nothing wrong
    report = (tmp_path / "report.md").read_text()
    assert_each_named_once(report.replace("[annotated images]", ""), {**WORDS, **suspicious})
    assert f"{NUM_IMAGES - 5} images, {NUM_IMAGES - 8} with a usable annotation" in report
    assert cv2.imread(str(tmp_path / "broken_trainval_sheet.jpg")).shape[1] == 4 * 326 + 6


def test_a_clean_data_set(handful, run_tool, tmp_path):
    done = run_tool("check_data.py", handful.card, "--out", tmp_path)
    assert done.status == 0, done.out + done.err
    assert "handful_test: 3 images, 3 with" in done.out and "Nothing wrong was found" in done.out
    one = run_tool("check_data.py", handful.card + ":test", "--out", tmp_path / "one")
    assert one.status == 0 and "handful_trainval" not in one.out


def test_unusable_data_sets(handful, run_tool, tmp_path):
    assert_refused(run_tool("check_data.py", "no/card.yml"), "card.yml", "does not exist")
    assert_refused(run_tool("check_data.py", "shape_trainval"), "did you mean")
    for sub in ("JPEGImages", "Annotations", "ImageSets/Main"):
        os.makedirs(tmp_path / sub)
    draw_picture(np.random.default_rng(1), str(tmp_path), "a")
    (tmp_path / "ImageSets" / "Main" / "test.txt").write_text("a\n")
    card = str(tmp_path / "c.yml")
    with open(card, "w") as file:
        file.write(CARD.replace("[dark, light]", "[cat]"))
    assert_refused(run_tool("check_data.py", card, "--out", tmp_path), "no object")
    spoil(card, "on_unknown_class: skip", "on_unknown_class: error")
    done = run_tool("check_data.py", card, "--out", tmp_path)
    assert done.out.count('which is not on the data set\'s card') >= 2
