"""A detector knows itself: training, test, demo and archives with nothing said twice."""
import json
import os
import shutil

import cv2
import numpy as np
import pytest
from handful import MODEL, make_weights, places
from small_detector import CLASSES, picture, write_detector
from test_tool_errors import assert_refused

from faster_rcnn import Detector
from faster_rcnn.detectors.description_files import description_path, read_beside
from faster_rcnn.files import safe_pickle
from faster_rcnn.settings.config import cfg

SETTINGS = {"joint": ["TRAIN.HAS_RPN", "True", "TRAIN.PROPOSAL_METHOD", "gt",
                      "TRAIN.IMS_PER_BATCH", "1", "TRAIN.BBOX_NORMALIZE_TARGETS_PRECOMPUTED",
                      "True", "TRAIN.BG_THRESH_LO", "0.0"]}


@pytest.fixture(scope="module")
def trained(handful, tmp_path_factory):
    """A folder in which a detector was trained jointly, with settings of its own, and its weights.
    """
    from handful import run_command
    folder = tmp_path_factory.mktemp("joint")
    done = run_command(
        "train_net.py", "--cpu", "--solver", "models/pascal_voc/Tiny/faster_rcnn_end2end/"
        "solver.prototxt", "--weights", handful.weights, "--imdb", handful.card + ":trainval",
        "--iters", 3, "--scale", 90, "--set", "TEST.RPN_MIN_SIZE", 4, "ANCHOR_SCALES",
        "[2, 3, 4, 5]", *SETTINGS["joint"], *places(folder))
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.split("Final model: ")[1].strip()


@pytest.fixture
def weights(tmp_path):
    return write_detector(tmp_path)


@pytest.fixture
def photo(tmp_path):
    path = str(tmp_path / "photo.png")
    cv2.imwrite(path, picture())
    return path


def entries(folder):
    with open(folder / "detections.json") as file:
        return json.load(file)


def test_training_describes_what_it_made(trained, handful):
    found = read_beside(trained[1])
    assert found.classes == ("dark", "light") and found.method == "faster_rcnn"
    test = found.settings["TEST"]
    assert test["SCALES"] == [90] and test["RPN_MIN_SIZE"] == 4 and test["HAS_RPN"] is True
    assert "[2, 3, 4, 5]" in found.net
    assert found.data == {"train": handful.card + ":trainval", "test": handful.card + ":test"}
    assert found.training["schedule"] == "faster_rcnn_end2end"
    assert found.training["iterations"] == 3 and found.training["seconds"] > 0


def test_a_test_needs_the_weights_alone(trained, run_tool):
    folder, final = trained
    done = run_tool("test_net.py", "--cpu", "--net", final, "--set", *places(folder))
    assert done.status == 0, done.err
    test = read_beside(final).test
    assert f"Mean AP = {test['mean_ap']:.4f}" in done.out
    assert test["imdb"] == "handful_test" and test["images"] == 3
    assert set(test["ap"]) == {"dark", "light"} and "otherwise than described" not in test
    # the same, in the old way
    named = run_tool("test_net.py", "--cpu", "--net", final, "--scale", 60, "--def",
                     os.path.join(MODEL, "faster_rcnn_test.pt"), "--set", *places(folder),
                     "ANCHOR_SCALES", "[2, 3, 4, 5]", "TEST.NMS", "0.4")
    assert named.status == 0, named.err
    assert read_beside(final).test["otherwise than described"] == {
        "TEST.SCALES": [60], "TEST.NMS": 0.4}


def test_python_finds_what_the_test_found(trained, handful, run_tool):
    folder, final = trained
    done = run_tool("test_net.py", "--cpu", "--net", final, "--set", *places(folder))
    all_boxes = safe_pickle.load(done.out.split("Wrote detections to: ")[1].split("\n")[0])
    detector = Detector(final, "cpu", threshold=0.05, max_per_image=100)
    pictures = os.path.join(os.path.dirname(handful.card), "JPEGImages")
    for index in range(3):
        boxes = detector(os.path.join(pictures, f"test{index}.jpg"))
        for k in (1, 2):
            own = np.array([(*box.corners, box.score) for box in boxes if box.class_index == k])
            np.testing.assert_array_equal(own.reshape(-1, 5), all_boxes[k][index])


def test_the_demo_needs_the_weights_alone(weights, photo, run_tool, tmp_path):
    done = run_tool("demo.py", "--cpu", "--weights", weights, "--out", tmp_path / "out", photo)
    assert done.status == 0, done.err
    entry, = entries(tmp_path / "out")
    wanted = Detector(weights, "cpu")(photo)
    assert [found["score"] for found in entry["detections"]] == pytest.approx(
        [box.score for box in wanted], abs=1e-4)
    assert len(wanted) > 1 and (tmp_path / "out" / "photo_detections.jpg").exists()


def test_the_command_line_comes_first(weights, photo, run_tool, tmp_path, handful):
    out = tmp_path / "out"
    done = run_tool("demo.py", "--cpu", "--weights", weights, "--out", out, "--thresh", 0,
                    "--scale", 64, "--card", handful.card, "--no-pictures", "--save", "csv,json",
                    photo, "--set", "TEST.RPN_POST_NMS_TOP_N", 1, "TEST.NMS", 1)
    assert done.status == 0, done.err
    assert len(entries(out)[0]["detections"]) == len(CLASSES)      # one roi, every class
    assert sorted(os.listdir(out)) == ["detections.csv", "detections.json"]


def test_an_archive_and_a_folder(weights, photo, run_tool, tmp_path):
    from faster_rcnn.detectors.archive import write_archive
    write_archive(read_beside(weights), weights, str(tmp_path / "sent.zip"))
    folder = tmp_path / "moved"
    os.makedirs(folder)
    for path in (weights, description_path(weights)):
        shutil.copy(path, folder)
    found = []
    for number, path in enumerate((weights, folder, tmp_path / "sent.zip")):
        out = tmp_path / str(number)
        done = run_tool("demo.py", "--cpu", "--weights", path, "--out", out, photo)
        assert done.status == 0, done.err
        found.append(entries(out))
    assert found[0] == found[1] == found[2] and found[0][0]["detections"]


def test_what_does_not_go_together_is_refused(weights, photo, run_tool, tmp_path, handful):
    test = ("test_net.py", "--cpu", "--net", weights)
    assert_refused(run_tool(*test, "--imdb", "bccd_test"), "dark, light", "RBC", "bccd_test")
    with open(description_path(photo), "w") as file:
        file.write("{}")
    for path, words in ((weights[:-5], ("does not exist",)),
                        (photo, ("photo.json", "description"))):
        assert_refused(run_tool("demo.py", "--cpu", "--weights", path, photo), *words)
    make_weights(weights)       # other ones
    assert_refused(run_tool(*test), "small.json", "SHA-256")
    os.remove(description_path(weights))
    assert_refused(run_tool(*test), "--def")
    assert_refused(run_tool("demo.py", "--cpu", "--weights", weights, "--net", "resnet50", photo),
                   "resnet50", "ResNet-50")
    assert_refused(run_tool("demo.py", "--cpu", "--weights", weights,
                            "https://example.org/a.jpg"), "address", "wget")
    assert_refused(run_tool("demo.py", "--cpu", "--thresh", "1.5", photo), "--thresh", "0 to 1")
    assert_refused(run_tool("demo.py", "--cpu", "--save", "xml", photo), "xml", "json, csv")


def test_a_broken_picture_is_passed_over(weights, photo, run_tool, tmp_path, caplog):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 broken")
    done = run_tool("demo.py", "--cpu", "--weights", weights, "--out", tmp_path / "out", broken,
                    photo)
    assert done.status == 1 and "broken.jpg" in caplog.text
    assert [entry["image"] for entry in entries(tmp_path / "out")] == [photo]


@pytest.mark.parametrize("name", ["zf", "VGG16", "resnet-101", "mobilenet", "SqueezeNet"])
def test_all_nets_by_their_own_names(run_tool, photo, tmp_path, name):
    done = run_tool("demo.py", "--cpu", "--net", name, photo, "--set", "DATA_DIR", tmp_path)
    assert_refused(done, str(tmp_path), "final.caffemodel", "--weights")


def test_names_of_nets_are_those_of_the_models_folder():
    from faster_rcnn.detectors.published import published
    assert published("resnet-50").weights == os.path.join(
        cfg.DATA_DIR, "rfcn_models", "resnet50_rfcn_final.caffemodel")
    assert published("caffenet", given_boxes=True).weights == os.path.join(
        cfg.DATA_DIR, "fast_rcnn_models", "caffenet_fast_rcnn_iter_40000.caffemodel")
    assert published("TINY").card == "shapes" and published("zf").card == "voc_2007"
