"""The whole schedule with Tiny on a few pictures, two iterations a stage; killed and resumed."""
import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest
from handful import MODEL, command, places, run_command

from caffe import prototxt, weights
from fast_rcnn.config import cfg
from utils import safe_pickle

TRAIN = "train_faster_rcnn_alt_opt.py"
STEPS = ["stage1_rpn", "stage1_proposals", "stage1_fast_rcnn", "stage2_rpn", "stage2_proposals",
         "stage2_fast_rcnn"]
SETTINGS = ["TRAIN.BG_THRESH_LO", "0.0", "TEST.HAS_RPN", "True", "TRAIN.RPN_MIN_SIZE", "4",
            "TEST.RPN_MIN_SIZE", "4", "EXP_DIR", "smoke"]


def train_args(handful, folder, iters="2,2,2,2", *options, settings=()):
    return ["--gpu", "cpu", "--net_name", "Tiny", "--weights", handful.weights, "--imdb",
            handful.card + ":trainval", "--iters", iters, "--scale", "120", *options, "--set",
            *SETTINGS, *places(folder), *settings]


def results_of(folder):
    return os.path.join(str(folder), "output", "smoke", "handful_trainval")


def manifest(folder):
    with open(os.path.join(results_of(folder), "Tiny_alt_opt.json")) as file:
        return json.load(file)["steps"]


@pytest.fixture(scope="module")
def trained(handful, tmp_path_factory):
    """(folder, the finished process) of one whole run."""
    folder = tmp_path_factory.mktemp("trained")
    done = run_command(TRAIN, *train_args(handful, folder))
    assert done.returncode == 0, done.stderr
    return folder, done


def test_files_and_log_lines_are_those_of_the_original(trained):
    folder, done = trained
    results = results_of(folder)
    final = os.path.join(results, "Tiny_faster_rcnn_final.caffemodel")
    models = [os.path.join(results, f"tiny_{kind}_stage{stage}_iter_2.caffemodel")
              for stage in (1, 2) for kind in ("rpn", "fast_rcnn")]
    for path in models:
        assert os.path.isfile(path)
        assert f"Wrote snapshot to: {path}\n" in done.stdout
    assert f"Final model: {final}\n" in done.stdout
    with open(final, "rb") as last, open(models[3], "rb") as copied:
        assert last.read() == copied.read()
    for stage in (1, 2):
        path = os.path.join(results, f"tiny_rpn_stage{stage}_iter_2_proposals.pkl")
        assert f"Wrote RPN proposals to {path}\n" in done.stdout
        proposals = safe_pickle.load(path)
        assert len(proposals) == 6
        assert all(boxes.dtype == np.float32 and boxes.shape[1:] == (4,) for boxes in proposals)
        assert sum(map(len, proposals)) > 0
    assert not [name for name in os.listdir(results)
                if name.startswith(".") or "checkpoint" in name]


def test_banners_stand_in_the_order_of_the_schedule(trained):
    banners = ["Stage 1 RPN, init from ImageNet model", "Stage 1 RPN, generate proposals",
               "Stage 1 Fast R-CNN using RPN proposals, init from ImageNet model",
               "Stage 2 RPN, init from stage 1 Fast R-CNN model",
               "Stage 2 RPN, generate proposals",
               "Stage 2 Fast R-CNN, init from stage 2 RPN R-CNN model"]
    places_in_log = [trained[1].stdout.index(banner) for banner in banners]
    assert places_in_log == sorted(places_in_log)


def test_the_record_names_every_step(trained):
    steps = manifest(trained[0])
    assert list(steps) == STEPS
    for step in steps.values():
        assert step["finished"] and step["figures"]["seconds"] >= 0
        assert {"weights", "prototxt", "data", "settings"} <= set(step["inputs"])


def test_who_learns_and_who_rides_along(trained, handful):
    """The flow of weights between the six steps (py-faster-rcnn, faster_rcnn_alt_opt)."""
    results = results_of(trained[0])
    start = weights.read_weights(handful.weights)
    rpn1, fast1, rpn2, fast2 = (
        weights.read_weights(os.path.join(results, f"tiny_{kind}_stage{stage}_iter_2.caffemodel"))
        for stage in (1, 2) for kind in ("rpn", "fast_rcnn"))

    def same(a, b, layer):
        return all(np.array_equal(x, y) for x, y in zip(a[layer], b[layer]))

    for moved in (rpn1, fast1):
        assert not same(start, moved, "conv4")
    assert same(start, rpn1, "fc6") and not same(start, fast1, "fc6")
    assert same(start, fast1, "rpn_cls_score") and not same(start, rpn1, "rpn_cls_score")
    for name in ("conv1", "conv4", "fc6", "fc7"):
        assert same(fast1, rpn2, name)
    for name in ("conv1", "conv4", "rpn_conv/3x3", "rpn_bbox_pred"):
        assert same(rpn2, fast2, name)
    assert not same(fast1, rpn2, "rpn_conv/3x3") and not same(rpn2, fast2, "fc6")
    assert fast2["cls_score"][0].shape[0] == 3 and fast2["bbox_pred"][0].shape[0] == 12


def test_adapted_prototxts_lie_beside_the_results(trained):
    folder = os.path.join(results_of(trained[0]), "Tiny_prototxts")
    assert sorted(os.listdir(folder)) == sorted(os.listdir(MODEL))
    net = prototxt.read_net(os.path.join(folder, "stage2_fast_rcnn_train.pt"))
    layers = {layer.name: layer for layer in net.layer}
    assert layers["cls_score"].inner_product_param.num_output == 3
    assert layers["bbox_pred"].inner_product_param.num_output == 12
    assert "'num_classes': 3" in layers["data"].python_param.param_str


def test_resume_after_the_end_repeats_nothing(trained, handful):
    folder, _ = trained
    before = manifest(folder)
    done = run_command(TRAIN, *train_args(handful, folder, "2,2,2,2", "--resume"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is done already") == 6
    assert "Wrote snapshot" not in done.stdout and "Final model: " in done.stdout
    assert manifest(folder) == before


def test_resume_repeats_what_depends_on_a_changed_input(trained, handful, tmp_path):
    import shutil
    shutil.copytree(os.path.join(str(trained[0]), "output"), tmp_path / "output")
    done = run_command(TRAIN, *train_args(handful, tmp_path, "2,2,2,3", "--resume"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is done already") == 5
    assert "Step 6 of 6 is to be run (changed: iterations" in done.stdout


@pytest.mark.parametrize("step,sign", ((1, "checkpoint"), (3, "checkpoint"), (5, "begin")))
def test_killed_in_a_step_and_resumed(trained, handful, tmp_path, step, sign):
    """SIGKILL in the middle of a step; --resume ends with the same model as an undisturbed run."""
    name = STEPS[step - 1]
    iters = ["2"] * 4
    if sign == "checkpoint":
        iters[{1: 0, 3: 1}[step]] = "60"
    args = train_args(handful, tmp_path, ",".join(iters), settings=["TRAIN.CHECKPOINT_ITERS", "5"])
    process = subprocess.Popen(command(TRAIN, *args), cwd=cfg.ROOT_DIR, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        wait_for_step(process, tmp_path, name, sign)
        process.send_signal(signal.SIGKILL)
    finally:
        process.wait()
    done_before = [key for key, value in manifest(tmp_path).items() if value["finished"]]
    assert done_before == STEPS[:step - 1]

    resume_at = args.index("--set")
    resumed = run_command(TRAIN, *args[:resume_at], "--resume", *args[resume_at:])
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.count("is done already") == step - 1
    if sign == "checkpoint":
        assert "Continuing from" in resumed.stdout
        undisturbed = tmp_path / "undisturbed"
        again = run_command(TRAIN, *train_args(handful, undisturbed, ",".join(iters),
                                               settings=["TRAIN.CHECKPOINT_ITERS", "5"]))
        assert again.returncode == 0, again.stderr
        assert (manifest(undisturbed)[name]["output_hash"]
                == manifest(tmp_path)[name]["output_hash"])


def wait_for_step(process, folder, name, sign):
    """Returns while the step is under way (`begin`) or has left a checkpoint."""
    record = os.path.join(results_of(folder), "Tiny_alt_opt.json")
    for _ in range(1200):
        assert process.poll() is None, "the schedule ended before it could be killed"
        steps = manifest(folder) if os.path.exists(record) else {}
        under_way = name in steps and not steps[name]["finished"]
        if under_way and (sign == "begin" or any("checkpoint" in entry and not entry.startswith(".")
                                                 for entry in os.listdir(results_of(folder)))):
            return
        time.sleep(0.02)
    raise AssertionError(f"{name} was never under way")


def test_the_trained_detector_is_tested_and_demonstrated(trained, handful, run_tool, tmp_path):
    folder, _ = trained
    final = os.path.join(results_of(folder), "Tiny_faster_rcnn_final.caffemodel")
    net = os.path.join(MODEL, "faster_rcnn_test.pt")
    done = run_tool("test_net.py", "--cpu", "--def", net, "--net", final, "--imdb",
                    handful.card + ":test", "--scale", "120", "--vis", "--set", *SETTINGS,
                    *places(folder))
    assert done.status == 0, done.err
    out = os.path.join(str(folder), "output", "smoke", "handful_test", "Tiny_faster_rcnn_final")
    boxes = safe_pickle.load(os.path.join(out, "detections.pkl"))
    assert len(boxes) == 3 and all(len(per_image) == 3 for per_image in boxes)
    assert "Mean AP = " in done.out
    assert os.path.isfile(os.path.join(out, "report.md"))

    images = os.path.join(os.path.dirname(handful.card), "JPEGImages")
    shown = run_tool("demo.py", "--cpu", "--net", "tiny", "--weights", final, "--card",
                     handful.card, "--out", tmp_path, "--thresh", "0", "--scale", "120", images,
                     "--set", *places(folder))
    assert shown.status == 0, shown.err
    with open(tmp_path / "detections.json") as file:
        found = json.load(file)
    assert len(found) == 9
    assert {d["class"] for image in found for d in image["detections"]} <= {"dark", "light"}
    assert len([name for name in os.listdir(tmp_path) if name.endswith("_detections.jpg")]) == 9


def test_rpn_generate_writes_proposals(trained, handful, run_tool):
    folder, _ = trained
    model = "tiny_rpn_stage2_iter_2"
    done = run_tool("rpn_generate.py", "--cpu", "--def", os.path.join(MODEL, "rpn_test.pt"),
                    "--net", os.path.join(results_of(folder), model + ".caffemodel"), "--imdb",
                    handful.card + ":test", "--scale", "120", "--set", *SETTINGS, *places(folder))
    assert done.status == 0, done.err
    path = os.path.join(str(folder), "output", "smoke", "handful_test", model,
                        model + "_rpn_proposals.pkl")
    assert [boxes.shape[1] for boxes in safe_pickle.load(path)] == [4, 4, 4]
