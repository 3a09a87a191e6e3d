"""tools/describe.py: older weights get a description once, and can be sent as one file."""
import os

import pytest
from small_detector import CLASSES, picture, write_detector, write_weights
from test_tool_errors import assert_refused

from faster_rcnn import Detector
from faster_rcnn.detectors.description_files import description_path, read_beside

CARD = """name: two
format: voc
root: .
classes: [dark, light]
"""


@pytest.fixture
def old(tmp_path):
    """Weights without a description, and a card with their classes."""
    path, card = str(tmp_path / "old.caffemodel"), str(tmp_path / "two.yml")
    write_weights(path)
    with open(card, "w") as file:
        file.write(CARD)
    return path, card


def test_older_weights_are_described_once(old, run_tool, tmp_path):
    path, card = old
    assert_refused(run_tool("describe.py", path), "no description", "--net")
    done = run_tool("describe.py", path, "--net", "tiny", "--card", card, "--scale", 96, "--thresh",
                    0.25, "--set", "TEST.RPN_MIN_SIZE", 8, "TEST.MAX_SIZE", 160,
                    "TEST.RPN_POST_NMS_TOP_N", 40)
    assert done.status == 0, done.err
    assert description_path(path) in done.out and "2: dark, light" in done.out
    found = Detector(path, "cpu")
    os.makedirs(tmp_path / "own")
    own = Detector(write_detector(tmp_path / "own"), "cpu")
    assert found(picture()) == own(picture()) != []
    assert found.threshold == 0.25 and found.description.net == own.description.net


def test_one_thing_is_changed(old, run_tool, tmp_path):
    path = write_detector(tmp_path)
    before = read_beside(path)
    done = run_tool("describe.py", path, "--thresh", 0.5, "--set", "TEST.SOFT_NMS", "linear")
    assert done.status == 0, done.err
    after = read_beside(path)
    assert after.threshold == 0.5 and after.settings["TEST"]["SOFT_NMS"] == "linear"
    assert after.net == before.net and after.classes == CLASSES
    assert {**after.settings["TEST"], "SOFT_NMS": ""} == before.settings["TEST"]


def test_weights_that_do_not_fit_are_refused(old, run_tool):
    path, card = old
    assert_refused(run_tool("describe.py", path, "--net", "tiny"), "cls_score", "classes")
    assert_refused(run_tool("describe.py", path, "--net", "zf", "--card", card), "conv1")
    assert_refused(run_tool("describe.py", path, "--net", "teeny"), "teeny", "Tiny")
    assert not os.path.exists(description_path(path))


def test_weights_that_were_trained_anew_are_described_anew(run_tool, tmp_path, old):
    path = write_detector(tmp_path)
    write_weights(path, seed=9)
    assert_refused(run_tool("describe.py", path), "SHA-256")
    done = run_tool("describe.py", path, "--net", "tiny", "--card", old[1])
    assert done.status == 0, done.err
    assert Detector(path, "cpu").classes == CLASSES


def test_packing(run_tool, tmp_path):
    path, archive = write_detector(tmp_path), str(tmp_path / "sent.frcnn.zip")
    done = run_tool("describe.py", path, "--pack", archive)
    assert done.status == 0 and archive in done.out, done.err
    assert Detector(archive, "cpu")(picture()) == Detector(path, "cpu")(picture()) != []
    shown = run_tool("describe.py", archive)
    assert shown.status == 0 and "2: dark, light" in shown.out and archive not in shown.out
