"""What people give to a Detector beside weights and pictures: options, iterators, other processes.
"""
import copy
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from small_detector import picture, write_detector

from caffe.core.errors import InputError
from faster_rcnn import Detector
from faster_rcnn.detectors.arguments import checked_count, checked_device, checked_share
from faster_rcnn.detectors.description import DescriptionError
from faster_rcnn.detectors.pictures import PictureError, as_bgr
from faster_rcnn.files.reading import FileError
from faster_rcnn.images.similar import looks_of
from faster_rcnn.reports.visualize import write_image


@pytest.mark.parametrize("device, meant", [
    ("cpu", "cpu"), ("CPU", "cpu"), (torch.device("cpu"), "cpu"), (1, 1), ("1", 1), ("cuda", 0),
    ("cuda:1", 1), (torch.device("cuda", 1), 1)])
def test_devices_as_people_call_them(device, meant):
    assert checked_device(device) == meant


@pytest.mark.parametrize("options", [
    {"device": None}, {"device": "cuda:x"}, {"device": True}, {"threshold": "0.5"},
    {"threshold": float("nan")}, {"threshold": np.zeros(2)}, {"batch": torch.ones(2)},
    {"batch": "2"}, {"batch": 2.5}, {"batch": True},
    {"max_per_image": -1}, {"max_per_image": 2.5}, {"description": {}}])
def test_wrong_options_are_named(weights, options):
    with pytest.raises(InputError, match=next(iter(options))):
        Detector(weights, **{"device": "cpu", **options})


def test_numbers_of_numpy_are_numbers():
    assert checked_share("threshold", np.float32(0.5)) == 0.5
    assert checked_count("batch", np.int64(3), 1) == 3


@pytest.mark.parametrize("classes", [["dark"], ["dark", "light", "grey"]])
def test_a_description_must_fit_the_net(tmp_path, classes):
    path = Path(write_detector(tmp_path)).with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "classes": classes}))
    with pytest.raises(DescriptionError, match=f"classes: {len(classes)} names, but the net has "
                                               "scores for 2 classes"):
        Detector(tmp_path, "cpu")


def test_iterators_of_pictures(detector):
    ims = [picture(seed) for seed in range(2)]
    found = detector(im for im in ims)
    assert iter(found) is found and list(found) == detector(ims)


@pytest.mark.parametrize("name, words", [
    ("", "is a folder; give a list of its pictures"), ("clip.mp4", "is a video; give it by itself"),
    ("http://a.b/c.jpg", "is an address; download it")])
def test_paths_that_are_no_pictures(detector, tmp_path, name, words):
    with pytest.raises(PictureError, match=words):
        detector([name if "://" in name else str(tmp_path / name)])


def test_names_of_files_that_are_no_text(detector, tmp_path):
    """OpenCV crashes on such paths; pictures are read all the same."""
    path = os.fsencode(tmp_path) + b"/caf\xe9"
    with open(path + b".png", "wb") as file:
        file.write(cv2.imencode(".png", picture())[1].tobytes())
    assert detector(os.fsdecode(path + b".png")) == detector(picture())
    assert looks_of([os.fsdecode(path + b".png")]).readable.all()
    write_image(os.fsdecode(path + b".jpg"), picture())
    assert os.path.getsize(path + b".jpg")
    os.rename(path + b".png", path + b".mp4")
    with pytest.raises(PictureError, match="no text in UTF-8; rename"):
        list(detector(os.fsdecode(path + b".mp4")))


def test_a_video_that_is_not_there_is_an_error_at_once(detector, tmp_path):
    with pytest.raises(FileError, match="not there"):
        detector(tmp_path / "clip.mp4")


def test_boxes_to_draw_are_those_of_one_picture(detector):
    with pytest.raises(InputError, match="a list of Box"):
        detector.draw(picture(), [[]])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "YCbCr", "HSV", "I",
                                  "F"])
def test_images_of_pil_in_all_modes(mode):
    grey = cv2.cvtColor(cv2.cvtColor(picture(), cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    image = Image.fromarray(grey).convert(mode)
    difference = as_bgr(image).astype(int) - grey
    # black and white dots, and colours of a palette, are right on the whole
    assert abs(difference.mean()) < 6 if mode in ("1", "P", "PA") else abs(difference).max() < 6


@pytest.mark.parametrize("image", [
    Image.fromarray(np.full((4, 5), 3000, np.int32)),
    Image.fromarray(np.full((4, 5), 3000, np.uint16)),
    Image.fromarray(np.full((4, 5), np.nan, np.float32)),
    Image.fromarray(np.full((4, 5), 0.5, np.float32)),
    Image.fromarray(np.full((4, 5), -1, np.int32)), Image.new("La", (4, 5))])
def test_images_of_pil_that_are_no_pictures(image):
    with pytest.raises(PictureError, match=f"mode {image.mode}"):
        as_bgr(image)


def test_copies_and_pickles_find_the_same(detector):
    wanted = detector(picture())
    for other in (copy.deepcopy(detector), pickle.loads(pickle.dumps(detector))):
        assert other is not detector and other(picture()) == wanted
        assert repr(other) == "<Detector of dark, light on cpu>"


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_process_can_use_a_detector(weights):
    """In a program of its own with two threads, which a fork does not copy."""
    code = ("import multiprocessing, sys\n"
            "import torch\n"
            "from small_detector import picture\n"
            "from faster_rcnn import Detector\n"
            "torch.set_num_threads(2)\n"
            "detector = Detector(sys.argv[1], 'cpu', threshold=0.05)\n"
            "wanted = len(detector(picture()))\n"
            "context = multiprocessing.get_context('fork')\n"
            "queue = context.Queue()\n"
            "child = context.Process(target=lambda: queue.put(len(detector(picture()))))\n"
            "child.start()\n"
            "assert queue.get(timeout=60) == wanted > 0\n")
    helpers = str(Path(__file__).parents[2] / "helpers")
    subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {helpers!r})\n{code}",
                    weights], check=True, timeout=120)
