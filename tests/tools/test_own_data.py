"""A folder of pictures goes through the tools: from looking at it to a tested detector."""
import os

import own_folders
import pytest
from handful import places
from scripted import run_script

from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.schedules.alternating import FASTER_RCNN
from faster_rcnn.schedules.files import ScheduleOptions, with_fitting_iterations
from faster_rcnn.settings.config import cfg


def test_from_a_folder_to_a_tested_detector(tmp_path, handful):
    folder = own_folders.kangaroo(tmp_path / "kangaroo")
    done = run_script(
        cfg.ROOT_DIR, "faster_rcnn_end2end.sh", "cpu", "Tiny", str(folder), "--epochs", "0.5",
        "--lr", "0.001", "--scale", "120", "--set", "EXP_DIR", "own data",
        "TRAIN.SKIP_MISMATCHED", "True", *places(tmp_path),
        WEIGHTS=handful.weights, LOGS=str(tmp_path / "logs"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "19 pictures for training, 5 for the test" in done.stderr
    assert "kangaroo_train: 10 iterations, 0.5 epochs of 19 pictures" in done.stdout
    assert "settings from the card" in done.stdout and "Mean AP = " in done.stdout
    assert os.path.exists(tmp_path / "kangaroo" / "kangaroo.yml")
    assert "tiny_faster_rcnn_iter_10.caffemodel" in done.stdout


def test_init_data_says_what_it_did(tmp_path, run_tool):
    folder = own_folders.raccoon(tmp_path / "raccoon")
    done = run_tool("init_data.py", folder)
    lines = done.out.splitlines()
    assert done.status in (0, None) and lines[-1] == (
        f"Train with: faster-rcnn train {folder}")
    assert any("data/train_labels.csv" in line for line in lines)
    assert "is there and is used" in run_tool("init_data.py", folder).out
    assert "data/test_labels.csv" in run_tool("init_data.py", folder, "--again",
                                              "--format", "csv").out
    assert get_imdb(str(folder)).card.format == "csv"


@pytest.mark.parametrize("args, words", [
    (("nowhere",), "nowhere is not a folder"), (("Makefile",), "is not a folder"),
    (("tools", "--format", "yolo"), "no pictures (.jpg, "),
    (("docs", "--format", "yolo"), "no annotations as YOLO's label files were found for its ")])
def test_what_cannot_be_made_ready_is_one_line(run_tool, args, words):
    done = run_tool("init_data.py", *args)
    assert done.status == 2 and words in done.err and len(done.err.splitlines()) == 1


def test_card_splits_of_a_folder_are_two_lines(tmp_path, run_tool):
    folder = own_folders.pascal_together(tmp_path / "pets")
    done = run_tool("card_splits.py", folder)
    assert done.out.splitlines() == [f"{folder}:train", f"{folder}:test"]
    assert "12 pictures; 12 with annotations as VOC's XML" in done.err


def test_epochs_of_the_alternating_schedule(tmp_path):
    folder = own_folders.kangaroo(tmp_path / "kangaroo")
    imdb = get_imdb(str(folder))
    options = ScheduleOptions("Tiny", str(folder), None, epochs=4)
    fitting = with_fitting_iterations(options, FASTER_RCNN, imdb)
    assert fitting.iterations == (76, 38, 76, 38)
    usual = with_fitting_iterations(ScheduleOptions("Tiny", str(folder), None), FASTER_RCNN, imdb)
    assert usual.iterations == (1000, 500, 1000, 500)
    given = ScheduleOptions("Tiny", str(folder), None, iterations=(1, 2, 3, 4))
    assert with_fitting_iterations(given, FASTER_RCNN, imdb) is given
