"""classify.py, detect.py, draw_net.py and train.py with Caffe's options."""
import csv
import os
import re
import runpy
import sys

import cv2
import numpy as np
import pytest
from net_texts import REGRESSION, fc, input_layer, layer

import caffe

SCRIPTS = os.path.dirname(os.path.dirname(caffe.__file__))
NET = (input_layer("data", 10, 3, 8, 8) + fc("out", "data", 2) + layer("prob", "Softmax", "out"))


@pytest.fixture
def script(monkeypatch, capsys):
    """Runs a script in this process; gives (status, stdout, stderr)."""
    def run(name, *words):
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(os.path.join(SCRIPTS, name), run_name="__main__")
        return stop.value.code, *capsys.readouterr()
    return run


@pytest.fixture
def model(tmp_path):
    """The options that name a small net and its weights."""
    (tmp_path / "net.prototxt").write_text(NET)
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    net.save(str(tmp_path / "net.caffemodel"))
    return ["--model_def", tmp_path / "net.prototxt",
            "--pretrained_model", tmp_path / "net.caffemodel"]


@pytest.fixture
def picture(tmp_path):
    path = str(tmp_path / "a.png")
    cv2.imwrite(path, np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8))
    return path


def test_classify_writes_predictions(script, model, picture, tmp_path):
    mean = tmp_path / "mean.npy"
    np.save(mean, np.array([100.0, 110, 120]))
    words = [*model, "--mean_file", mean, "--images_dim", "12,12"]
    for source, more in ((picture, ["--center_only"]), (tmp_path, ["--ext", "png"])):
        status, _, err = script("classify.py", source, tmp_path / "out.npy", *words, *more)
        assert status == 0, err
        predictions = np.load(tmp_path / "out.npy")
        assert predictions.shape == (1, 2)
        np.testing.assert_allclose(predictions.sum(), 1, rtol=1e-5)


def test_classify_refuses_in_one_line(script, model, picture, tmp_path):
    status, _, err = script("classify.py", picture, tmp_path / "out.npy", *model)
    assert status == 2 and "ilsvrc_2012_mean.npy does not exist" in err
    status, _, err = script("classify.py", picture, tmp_path / "out.npy", *model,
                            "--images_dim", "a,b")
    assert status == 2 and "not whole numbers" in err


def test_detect_scores_the_windows_of_a_list(script, model, picture, tmp_path):
    windows = tmp_path / "windows.csv"
    windows.write_text(f"filename,ymin,xmin,ymax,xmax\n{picture},0,0,10,10\n"
                       f"{picture},5,5,19,29\n")
    out = tmp_path / "out.csv"
    words = [*model, "--mean_file", "", "--crop_mode", "list", "--context_pad", 0]
    status, _, err = script("detect.py", windows, out, *words)
    assert status == 0, err
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["xmax"]) for row in rows] == [10, 29]
    assert float(rows[0]["class0"]) + float(rows[0]["class1"]) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("text, expected", [
    ("filename,ymin,xmin\n", "windows.csv:1: the columns xmax, ymax are missing"),
    ("filename,ymin,xmin,ymax,xmax\na.jpg,1,2,x,4\n", "windows.csv:2: expected a file name")])
def test_windows_that_cannot_be_read(tmp_path, text, expected):
    module = runpy.run_path(os.path.join(SCRIPTS, "detect.py"))
    (tmp_path / "windows.csv").write_text(text)
    with pytest.raises(caffe.CaffeError, match=expected):
        module["read_windows"](str(tmp_path / "windows.csv"))


def test_draw_net_writes_an_image(script, tmp_path):
    (tmp_path / "net.prototxt").write_text(NET)
    status, _, err = script("draw_net.py", tmp_path / "net.prototxt", tmp_path / "net.png",
                            "--rankdir", "TB", "--phase", "TEST", "--display_lrm")
    if status == 2 and "dot" in err:
        pytest.skip("graphviz's dot is not installed")
    assert status == 0, err
    assert (tmp_path / "net.png").stat().st_size > 0


def test_train_without_gpus_says_so(script, tmp_path):
    (tmp_path / "solver.prototxt").write_text(f'net: "{tmp_path}/net.prototxt" base_lr: 1')
    status, _, err = script("train.py", "--solver", tmp_path / "solver.prototxt", "--gpus", 98, 99)
    assert status == 2 and "error: GPU 98 was asked for" in err


@pytest.mark.parametrize("timing", [False, True])
def test_train_solves_its_share(tmp_path, monkeypatch, caplog, timing):
    """What each process of train.py does, on the CPU and alone."""
    caplog.set_level("INFO", logger="caffe")
    monkeypatch.setattr(caffe, "set_device", lambda gpu: None)
    monkeypatch.setattr(caffe, "set_mode_gpu", lambda: None)
    train = runpy.run_path(os.path.join(SCRIPTS, "train.py"))["solve"]
    (tmp_path / "net.prototxt").write_text(REGRESSION)
    (tmp_path / "solver.prototxt").write_text(
        f'net: "{tmp_path}/net.prototxt" base_lr: 0.1 lr_policy: "fixed" display: 2 max_iter: 4 '
        f'snapshot: 3 snapshot_prefix: "{tmp_path}/s"')
    uid = caffe.NCCL.new_uid()
    train(str(tmp_path / "solver.prototxt"), None, [0], timing, uid, 0)
    train(str(tmp_path / "solver.prototxt"), str(tmp_path / "s_iter_3.solverstate"), [0], timing,
          caffe.NCCL.new_uid(), 0)
    assert [record.getMessage() for record in caplog.records].count("Iteration 2, lr = 0.1") == 1
    times = [float(ms) for line in caplog.messages if "mean times" in line
             for ms in re.findall(r"(?:forward|backward|allreduce): ([\d.]+) ms", line)]
    assert len(times) == (9 if timing else 0) and all(ms >= 0 for ms in times)
