"""The whole schedule with Tiny on a few pictures, by the script; then killed and resumed."""
import json
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from handful import MODEL, command, output_of, places, results_of, run_command
from scripted import run_script

from caffe.files import prototxt, weights
from faster_rcnn.files import safe_pickle
from faster_rcnn.settings.config import cfg

TRAIN = "train_faster_rcnn_alt_opt.py"
STEPS = ["stage1_rpn", "stage1_proposals", "stage1_fast_rcnn", "stage2_rpn", "stage2_proposals",
         "stage2_fast_rcnn"]
# Stage 1 is long enough to be killed in the middle; stage 2 is as short as can be
ITERS = "40,40,2,2"
SNAPSHOTS = ["tiny_rpn_stage1_iter_40", "tiny_fast_rcnn_stage1_iter_40", "tiny_rpn_stage2_iter_2",
             "tiny_fast_rcnn_stage2_iter_2"]
SETTINGS = ["TRAIN.RPN_MIN_SIZE", "4", "TEST.RPN_MIN_SIZE", "4", "EXP_DIR", "smoke dir",
            "TRAIN.CHECKPOINT_ITERS", "5"]
CFG = os.path.join(cfg.ROOT_DIR, "experiments", "cfgs", "faster_rcnn_alt_opt_Tiny.yml")


def train_args(handful, folder, *options, iters=ITERS):
    return ["--gpu", "cpu", "--net_name", "Tiny", "--weights", handful.weights, "--imdb",
            handful.card + ":trainval", "--cfg", CFG, "--iters", iters, "--lr", "0.001",
            "--scale", "120", *options, "--set", *SETTINGS, *places(folder)]


def record_of(folder):
    with open(results_of(folder, "Tiny_alt_opt.json")) as file:
        return json.load(file)["steps"]


@pytest.fixture(scope="module")
def trained(handful, tmp_path_factory):
    """(folder, the finished process) of one run of the script: all six steps, and the test."""
    folder = tmp_path_factory.mktemp("trained")
    done = run_script(
        cfg.ROOT_DIR, "faster_rcnn_alt_opt.sh", "cpu", "Tiny", handful.card, "--iters", ITERS,
        "--lr", "0.001", "--scale", "120", "--vis", "--set", *SETTINGS, *places(folder),
        WEIGHTS=handful.weights, LOGS=str(folder / "logs"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return folder, done


def test_files_and_log_lines_are_those_of_the_original(trained):
    folder, done = trained
    final = results_of(folder, "Tiny_faster_rcnn_final.caffemodel")
    for name in SNAPSHOTS:
        path = results_of(folder, name + ".caffemodel")
        assert os.path.isfile(path)
        assert f"Wrote snapshot to: {path}\n" in done.stdout
    assert f"Final model: {final}\n" in done.stdout
    with open(final, "rb") as last, open(path, "rb") as copied:
        assert last.read() == copied.read()
    for name in (SNAPSHOTS[0], SNAPSHOTS[2]):
        path = results_of(folder, name + "_proposals.pkl")
        assert f"Wrote RPN proposals to {path}\n" in done.stdout
        proposals = safe_pickle.load(path)
        assert len(proposals) == 6
        assert all(boxes.dtype == np.float32 and boxes.shape[1:] == (4,) for boxes in proposals)
        assert sum(map(len, proposals)) > 0
    assert not [name for name in os.listdir(results_of(folder))
                if name.startswith(".") or "checkpoint" in name]


def test_the_log_keeps_what_was_printed(trained):
    folder, done = trained
    logs = os.listdir(folder / "logs")
    assert len(logs) == 1 and logs[0].startswith("faster_rcnn_alt_opt_Tiny_--iters_40,40,2,2_")
    logged = (folder / "logs" / logs[0]).read_text()
    assert "Final model: " in logged and "Mean AP = " in logged
    shown = done.stdout.splitlines()[1:]        # the first line says where the log is
    assert set(shown) <= set(logged.splitlines())
    assert "'RPN_NMS_THRESH': 0.7" in logged and "RPN_NMS_THRESH" not in done.stdout
    assert "Settings: " in done.stdout and "%|" not in logged
    assert shown[-1] == f"Detector: {results_of(folder, 'Tiny_faster_rcnn_final.caffemodel')}"
    assert any(line.startswith("Report: ") for line in shown[-5:])


def test_banners_stand_in_the_order_of_the_schedule(trained):
    banners = ["Stage 1 RPN, init from ImageNet model", "Stage 1 RPN, generate proposals",
               "Stage 1 Fast R-CNN using RPN proposals, init from ImageNet model",
               "Stage 2 RPN, init from stage 1 Fast R-CNN model",
               "Stage 2 RPN, generate proposals",
               "Stage 2 Fast R-CNN, init from stage 2 RPN R-CNN model"]
    lines = trained[1].stdout.splitlines()
    at = [lines.index(banner) for banner in banners]
    assert at == sorted(at)


def test_the_record_names_every_step(trained):
    steps = record_of(trained[0])
    assert list(steps) == STEPS
    for name, step in steps.items():
        assert step["finished"] and step["figures"]["seconds"] >= 0
        assert {"weights", "prototxt", "data", "settings"} <= set(step["inputs"])
        assert ("proposals" if "proposals" in name else "loss") in step["figures"]


def test_who_learns_and_who_rides_along(trained, handful):
    """The flow of weights between the six steps (py-faster-rcnn, faster_rcnn_alt_opt)."""
    start = weights.read_weights(handful.weights)
    rpn1, fast1, rpn2, fast2 = (
        weights.read_weights(results_of(trained[0], name + ".caffemodel")) for name in SNAPSHOTS)

    def same(a, b, layer):
        return all(np.array_equal(x, y) for x, y in zip(a[layer], b[layer]))

    for moved in (rpn1, fast1):
        assert same(start, moved, "conv1") and not same(start, moved, "conv4")
    assert same(start, rpn1, "fc6") and not same(start, fast1, "fc6")
    assert same(start, fast1, "rpn_cls_score") and not same(start, rpn1, "rpn_cls_score")
    for name in ("conv1", "conv4", "fc6", "fc7"):
        assert same(fast1, rpn2, name)
    for name in ("conv1", "conv4", "rpn_conv/3x3", "rpn_bbox_pred"):
        assert same(rpn2, fast2, name)
    assert not same(fast1, rpn2, "rpn_conv/3x3") and not same(rpn2, fast2, "fc6")
    assert fast2["cls_score"][0].shape[0] == 3 and fast2["bbox_pred"][0].shape[0] == 12


def test_adapted_prototxts_lie_beside_the_results(trained):
    folder = results_of(trained[0], "Tiny_prototxts")
    assert sorted(os.listdir(folder)) == sorted(os.listdir(MODEL))
    net = prototxt.read_net(os.path.join(folder, "stage2_fast_rcnn_train.pt"))
    layers = {layer.name: layer for layer in net.layer}
    assert layers["cls_score"].inner_product_param.num_output == 3
    assert layers["bbox_pred"].inner_product_param.num_output == 12
    assert "'num_classes': 3" in layers["data"].python_param.param_str
    solver = prototxt.read_solver(os.path.join(folder, "stage1_rpn_solver60k80k.pt"))
    assert (solver.max_iter, solver.stepsize) == (40, 30)


def test_the_script_ends_with_a_tested_detector(trained):
    folder, done = trained
    out = output_of(folder, "handful_test", "Tiny_faster_rcnn_final")
    boxes = safe_pickle.load(os.path.join(out, "detections.pkl"))
    assert len(boxes) == 3 and all(len(per_image) == 3 for per_image in boxes)
    assert "Mean AP = " in done.stdout
    assert f"Report: {os.path.join(out, 'report.md')}\n" in done.stdout
    with open(os.path.join(out, "report.html"), encoding="utf-8") as page:
        text = page.read()
    for words in ("stage2_fast_rcnn", "TRAIN.MAX_SIZE", "tools/test_net.py", "handful_test"):
        assert words in text
    pictures = os.listdir(os.path.join(out, "pictures"))
    assert {f"test{i}.jpg" for i in range(3)} <= set(pictures)


def test_resume_after_the_end_repeats_nothing(trained, handful):
    folder, _ = trained
    before = record_of(folder)
    done = run_command(TRAIN, *train_args(handful, folder, "--resume"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is done already") == 6
    assert "Wrote snapshot" not in done.stdout and "Final model: " in done.stdout
    assert record_of(folder) == before


def test_resume_repeats_what_depends_on_a_changed_input(trained, handful, tmp_path):
    shutil.copytree(trained[0] / "output", tmp_path / "output")
    done = run_command(TRAIN, *train_args(handful, tmp_path, "--resume", iters="40,40,2,3"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is done already") == 5
    assert "Step 6 of 6 is to be run (changed: iterations" in done.stdout


@pytest.mark.parametrize("step", (1, 3, 5))
def test_killed_in_a_step_and_resumed(trained, handful, tmp_path, step):
    """After SIGKILL, --resume goes on inside the step and gives what the undisturbed run gave."""
    name = STEPS[step - 1]
    copy_first_steps(trained[0], tmp_path, step - 1)
    process = subprocess.Popen(
        command(TRAIN, *train_args(handful, tmp_path, *["--resume"] * (step > 1))),
        cwd=cfg.ROOT_DIR, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_under_way(process, tmp_path, name)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    finished = [key for key, value in record_of(tmp_path).items() if value["finished"]]
    assert finished == STEPS[:step - 1]

    resumed = run_command(TRAIN, *train_args(handful, tmp_path, "--resume"))
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.count("is done already") == step - 1
    assert ("Continuing from" in resumed.stdout) == ("proposals" not in name)
    hashes, undisturbed = ({key: value["output_hash"] for key, value in record_of(folder).items()}
                           for folder in (tmp_path, trained[0]))
    assert hashes == undisturbed


def copy_first_steps(done, folder, count):
    """Makes `folder` what it would be after `count` steps of the run in `done`."""
    if not count:
        return
    shutil.copytree(done / "output", folder / "output")
    path = results_of(folder, "Tiny_alt_opt.json")
    with open(path) as file:
        record = json.load(file)
    for name in STEPS[count:]:
        os.remove(results_of(folder, record["steps"].pop(name)["output"]))
    os.remove(results_of(folder, "Tiny_faster_rcnn_final.caffemodel"))
    with open(path, "w") as file:
        json.dump(record, file)


def wait_until_under_way(process, folder, name):
    """Returns when a step has begun and, if it trains, has left a checkpoint."""
    for _ in range(20000):
        assert process.poll() is None, "the schedule ended before it could be killed"
        steps = record_of(folder) if os.path.exists(results_of(folder, "Tiny_alt_opt.json")) else {}
        if name in steps and not steps[name]["finished"] and (
                "proposals" in name
                or any(entry.startswith("tiny") and entry.endswith("checkpoint.npz")
                       for entry in os.listdir(results_of(folder)))):
            return
        time.sleep(0.01)
    raise AssertionError(f"{name} was never under way")


def test_demo_shows_the_detections_in_a_folder_of_pictures(trained, handful, run_tool, tmp_path):
    final = results_of(trained[0], "Tiny_faster_rcnn_final.caffemodel")
    images = os.path.join(os.path.dirname(handful.card), "JPEGImages")
    args = ["--cpu", "--net", "tiny", "--weights", final, "--card", handful.card, "--out",
            tmp_path, "--thresh", "0", "--scale", "120", images, "--set", *places(trained[0])]

    def show(*settings):
        shown = run_tool("demo.py", *args, *settings)
        assert shown.status == 0, shown.err
        with open(tmp_path / "detections.json") as file:
            return json.load(file)

    found = show()
    softly = show("TEST.SOFT_NMS", "linear", "TEST.SOFT_NMS_THRESH", "0")
    assert sum(len(image["detections"]) for image in softly) > \
        sum(len(image["detections"]) for image in found)
    assert len(found) == 9
    classes = {detection["class"] for image in found for detection in image["detections"]}
    assert classes and classes <= {"dark", "light"}
    for image in found:
        for x1, y1, x2, y2 in (detection["box"] for detection in image["detections"]):
            assert 0 <= x1 <= x2 < image["width"] and 0 <= y1 <= y2 < image["height"]
    assert len([name for name in os.listdir(tmp_path) if name.endswith("_detections.jpg")]) == 9


def test_rpn_generate_writes_proposals(trained, handful, run_tool):
    folder, model = trained[0], SNAPSHOTS[2]
    done = run_tool("rpn_generate.py", "--cpu", "--def", os.path.join(MODEL, "rpn_test.pt"),
                    "--net", results_of(folder, model + ".caffemodel"), "--imdb",
                    handful.card + ":test", "--scale", "120", "--set", *SETTINGS, *places(folder))
    assert done.status == 0, done.err
    proposals = safe_pickle.load(output_of(folder, "handful_test", model,
                                           model + "_rpn_proposals.pkl"))
    assert [boxes.shape[1] for boxes in proposals] == [4, 4, 4]
