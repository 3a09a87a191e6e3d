"""The command faster-rcnn: its verbs, their options, what they do."""
import json
import os
import shlex
import signal
import subprocess
import sys
import urllib.request

import pytest
from handful import make_data_set, make_weights
from small_detector import picture, write_detector

import caffe
from caffe.export.layers.graph import DEFAULT_OPSET
from faster_rcnn import program
from faster_rcnn.datasets.cards.card import FORMATS
from faster_rcnn.detectors.archive import write_archive
from faster_rcnn.detectors.description_files import read_beside
from faster_rcnn.detectors.detector import Detector
from faster_rcnn.export.checks.runtimes import start
from faster_rcnn.program import export, init, train
from faster_rcnn.program.main import VERBS, help_text, script
from faster_rcnn.settings.config import cfg, cfg_override
from faster_rcnn.synthetic.shape_files import write_set


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    return make_data_set(str(tmp_path_factory.mktemp("handful") / "VOC2007"))


@pytest.fixture
def verb(monkeypatch, capsys, caplog):
    """verb(*words): (exit status, what is printed and logged, errors)."""
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["faster-rcnn", *map(str, words)])
        caplog.clear()
        with cfg_override(), caplog.at_level("INFO"), pytest.raises(SystemExit) as stop:
            script()
        printed = capsys.readouterr()
        return stop.value.code, printed.out + "\n".join(caplog.messages), printed.err
    yield run
    caffe.set_mode_cpu()


def test_the_verbs_are_the_modules():
    here = {name[:-3] for name in os.listdir(program.__path__[0]) if name.endswith(".py")}
    assert here - {"__init__", "main", "data"} == set(VERBS)
    assert all(f"  {name} " in help_text() for name in VERBS)


def test_unknown_verb(verb):
    status, _, error = verb("trian", "x")
    assert status == 2 and "did you mean train?" in error and error.count("\n") == 1


def test_without_a_verb_the_help_is_shown(verb):
    assert verb()[0] == 1 and verb("--help")[0] == 0


@pytest.mark.parametrize("name", VERBS)
def test_a_mistyped_option_of_a_verb(verb, name):
    status, _, error = verb(name, "x", *(["y"] if name == "detect" else []), "--quie")
    assert status == 2 and "did you mean --quiet?" in error and f"faster-rcnn {name}: " in error


@pytest.mark.parametrize("words,wrong", (
    (["--iters", "1,2"], "--iters: 2 numbers were given; --schedule joint takes 1"),
    (["--schedule", "alternating", "--lr", "1,2"], "alternating takes 1 or 4"),
    (["--iters", "0"], "--iters"), (["--patience", "3"], "need --val"),
    (["--schedule", "other"], "--schedule"), (["--val-iters", "-2"], "--val-iters")))
def test_numbers_that_a_schedule_does_not_take(verb, words, wrong):
    status, _, error = verb("train", "shapes", *words)
    assert status == 2 and wrong in error and error.count("\n") <= 8


def test_formats_are_those_of_the_cards():
    assert set(init.FORMATS) == set(FORMATS)


def places(folder):
    return ["--set", "ROOT_DIR", folder, "DATA_DIR", folder, "TRAIN.RPN_MIN_SIZE", "4",
            "TEST.RPN_MIN_SIZE", "4"]


@pytest.mark.parametrize("schedule,result", (
    ("joint", "tiny_faster_rcnn_best.caffemodel"),
    ("alternating", "Tiny_faster_rcnn_final.caffemodel")))
def test_train(verb, card, tmp_path, schedule, result):
    weights = tmp_path / "Tiny.v2.caffemodel"
    make_weights(str(weights))
    status, said, error = verb(
        "train", card, "--cpu", "--net", "Tiny", "--schedule", schedule, "--weights", weights,
        "--iters", "4", "--lr", "0.001", "--scale", "120", "--val", "test", "--val-iters", "2",
        "--name", "trial", "--log", tmp_path / "log.txt", *places(str(tmp_path)))
    assert status == 0, error
    folder = tmp_path / "output" / "trial" / "handful_trainval"
    assert f"Detector: {folder / result}\n" in said and (folder / result).is_file()
    assert "Mean AP = " in said and "Report: " in said
    assert f"  faster-rcnn detect {folder / result} PICTURES" in said
    pictures = os.path.join(os.path.dirname(card), "JPEGImages", "test*.jpg")
    status, said, error = verb("detect", folder / result, pictures, "--cpu", "--out",
                               tmp_path / "found", "--thresh", "0")
    assert status == 0, error
    assert len(json.loads((tmp_path / "found" / "detections.json").read_text())) == 3
    tests = tmp_path / "output" / "trial" / "handful_test"
    status, said, error = verb("report", tests, "--again", "--imdb", card + ":test")
    assert status == 0 and "# handful_test: mean AP" in said and "Mean AP = " in said, error
    curves = sorted(folder.glob("*_curves.jsonl"))
    assert len(curves) == (4 if schedule == "alternating" else 1)
    points = [json.loads(line) for line in curves[0].read_text().splitlines()]
    assert [point["iteration"] for point in points] == [2, 4]


def test_data_is_looked_for_where_the_settings_say(verb, tmp_path):
    write_set(str(tmp_path / "data" / "shapes"), 0, 3, 2)
    weights = tmp_path / "Tiny.v2.caffemodel"
    make_weights(str(weights))
    status, said, error = verb("anchors", "shapes", "--scale", "120", *places(str(tmp_path)))
    assert status in (0, None) and "shapes_trainval: 3 images with objects" in said, error
    status, said, error = verb(
        "train", "shapes", "--cpu", "--net", "Tiny", "--weights", weights, "--iters", "1",
        "--scale", "120", "--log", tmp_path / "log.txt", *places(str(tmp_path)))
    assert status == 0 and "Mean AP = " in said and "There is no test" not in said, error
    [path] = (tmp_path / "output").rglob("*.caffemodel")
    status, said, error = verb("export", path, "--imdb", "shapes_test", "--out",
                               tmp_path / "x.onnx", "--check", ":1", *places(str(tmp_path)))
    assert status in (0, None) and "| net | " in said, error


@pytest.fixture
def detector(verb, card, tmp_path):
    """The path of a detector of the handful, trained for an iteration."""
    weights = tmp_path / "Tiny.v2.caffemodel"
    make_weights(str(weights))
    status, _, error = verb("train", card, "--cpu", "--net", "Tiny", "--weights", weights,
                            "--iters", "1", "--scale", "120", "--no-test", "--log",
                            tmp_path / "log.txt", *places(str(tmp_path)))
    assert status == 0, error
    [path] = (tmp_path / "output").rglob("*.caffemodel")
    return path


def test_serve_looks_at_a_picture(detector, card):
    """In a process of its own, as it runs until it is interrupted."""
    process = subprocess.Popen(
        [sys.executable, "-m", "faster_rcnn", "serve", detector, "--cpu", "--port", "0"],
        stdout=subprocess.PIPE, text=True)
    try:
        line = next(line for line in process.stdout if line.startswith("Serving "))
        picture = os.path.join(os.path.dirname(card), "JPEGImages", "test0.jpg")
        with open(picture, "rb") as file:
            request = urllib.request.Request(line.split()[3] + "detect", file.read(),
                                             {"Content-Type": "image/jpeg"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)
        assert (found["width"], found["height"]) == (160, 120) and "detections" in found
    finally:
        process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_train_without_weights_says_where_they_are_looked_for(verb, card, tmp_path):
    status, _, error = verb("train", card, "--cpu", "--net", "ZF", *places(str(tmp_path)))
    assert status == 2 and "ZF.v2.caffemodel does not exist" in error and "--weights" in error


def test_settings_of_a_net_come_before_those_of_the_schedule():
    def chosen(*words):
        return os.path.basename(train.settings_file(train.parse_args("p", ["x", *words])))
    assert chosen("--net", "Tiny") == "faster_rcnn_end2end_Tiny.yml"
    assert chosen("--net", "ZF", "--schedule", "alternating") == "faster_rcnn_alt_opt.yml"


def test_check_and_anchors(verb, card):
    assert "Report: " in verb("check", card, "--quick")[1]
    assert "ANCHOR_SCALES" in verb("anchors", card, "--scale", "120")[1]


def test_report_of_no_test(verb, tmp_path):
    status, _, error = verb("report", tmp_path)
    assert status == 2 and "there is no test in" in error
    assert cfg.ROOT_DIR not in error


def test_export_needs_the_detector_alone(verb, tmp_path, monkeypatch):
    path = write_detector(tmp_path)
    archive = tmp_path / "packed.frcnn.zip"
    write_archive(read_beside(path), path, str(archive))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for given, written in ((path, "small.onnx"), (archive, "packed.onnx")):
        status, said, error = verb("export", given)
        assert status == 0 and "classes: dark, light" in said, error
        found = start("onnxruntime", written)(picture())
        wanted = Detector(path, "cpu", threshold=0.05)(picture())
        assert len(found.labels) == len(wanted) > 0
    assert sorted(os.listdir()) == ["packed.onnx", "small.onnx"]


def test_the_usual_opset_is_that_of_the_graphs():
    assert export.OPSET == DEFAULT_OPSET


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"]])
def test_help_that_nobody_reads_ends_quietly(words):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "faster_rcnn", *words], stdout=writer,
                          stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_without_a_standard_output_is_no_error():
    done = subprocess.run(["sh", "-c", f"{shlex.quote(sys.executable)} -m faster_rcnn init -h >&-"],
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr
