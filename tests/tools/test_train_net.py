"""Joint training with Tiny on a few pictures, by the script and by the tool."""
import datetime
import glob
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
from half_bytes import needs_bf16
from handful import command, output_of, places, results_of, run_command
from scripted import run_script

from caffe.files import prototxt, weights
from faster_rcnn.files import safe_pickle
from faster_rcnn.runs.lock import RunLock
from faster_rcnn.settings.config import cfg

TRAIN = "train_net.py"
MODEL = os.path.join(cfg.MODELS_DIR, "Tiny", "faster_rcnn_end2end")
CFG = os.path.join(cfg.ROOT_DIR, "experiments", "cfgs", "faster_rcnn_end2end_Tiny.yml")
SETTINGS = ["TRAIN.RPN_MIN_SIZE", "4", "TEST.RPN_MIN_SIZE", "4", "EXP_DIR", "smoke dir",
            "TRAIN.CHECKPOINT_ITERS", "5", "TRAIN.RPN_POST_NMS_TOP_N", "100"]
ITERS = 30


def train_args(handful, folder, *settings, **changed):
    """Arguments of a short training; `changed` replaces options by their names, None drops one."""
    options = {"--gpu": "cpu", "--solver": os.path.join(MODEL, "solver.prototxt"),
               "--weights": handful.weights, "--imdb": handful.card + ":trainval", "--cfg": CFG,
               "--iters": ITERS, "--lr": "0.001", "--scale": "120"}
    options.update({"--" + key: value for key, value in changed.items()})
    flat = [word for option, value in options.items() if value is not None
            for word in ((option,) if value is True else (option, value))]
    return [*flat, "--set", *SETTINGS, *places(folder), *settings]


def snapshot(folder, iteration=ITERS):
    return results_of(folder, f"tiny_faster_rcnn_iter_{iteration}.caffemodel")


def content(path):
    with open(path, "rb") as file:
        return file.read()


@pytest.fixture(scope="module")
def trained(handful, tmp_path_factory):
    """(folder, the finished process) of one run of the script: training and test."""
    folder = tmp_path_factory.mktemp("joint")
    done = run_script(
        cfg.ROOT_DIR, "faster_rcnn_end2end.sh", "cpu", "Tiny", handful.card, "--iters", ITERS,
        "--lr", "0.001", "--scale", "120", "--set", *SETTINGS, *places(folder),
        WEIGHTS=handful.weights, LOGS=str(folder / "logs"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return folder, done


def test_lines_that_scripts_look_for(trained):
    folder, done = trained
    lines = done.stdout.splitlines()
    end = lines.index("done solving")
    assert lines[end - 1] == f"Wrote snapshot to: {snapshot(folder)}"
    assert f"Final model: {snapshot(folder)}" in lines
    assert any(line.startswith("Mean AP = ") for line in lines)
    logs = os.listdir(folder / "logs")
    assert len(logs) == 1 and logs[0].startswith("faster_rcnn_end2end_Tiny_--iters_30_")


def test_a_line_of_progress_has_each_loss_once(trained):
    lines = [line for line in trained[1].stdout.splitlines() if line.startswith("iteration ")]
    assert len(lines) == 1 and lines[0].startswith("iteration 20 of 30: loss ")
    assert ", loss = " not in trained[1].stdout and "speed: " not in trained[1].stdout
    for name in ("rpn_cls_loss", "rpn_loss_bbox", "loss_cls", "loss_bbox"):
        assert re.search(rf"[(, ]{name} \d+\.\d{{4}}[,)]", lines[0]), lines[0]


def test_files_of_a_training(trained):
    folder, _ = trained
    assert sorted(os.listdir(results_of(folder))) == [
        "tiny_faster_rcnn_iter_30.caffemodel", "tiny_faster_rcnn_iter_30.json",
        "tiny_faster_rcnn_prototxts",
        "tiny_faster_rcnn_train.json"]
    net = prototxt.read_net(results_of(folder, "tiny_faster_rcnn_prototxts", "train.prototxt"))
    layers = {layer.name: layer for layer in net.layer}
    assert layers["bbox_pred"].inner_product_param.num_output == 12
    assert "'num_classes': 3" in layers["roi-data"].python_param.param_str
    solver = prototxt.read_solver(results_of(folder, "tiny_faster_rcnn_prototxts",
                                             "solver.prototxt"))
    assert (solver.max_iter, solver.stepsize) == (30, 21)
    with open(results_of(folder, "tiny_faster_rcnn_train.json")) as file:
        step = json.load(file)["steps"]["train"]
    assert step["finished"] and step["output"] == "tiny_faster_rcnn_iter_30.caffemodel"


def test_rpn_and_detector_learn_and_frozen_layers_stay(trained, handful):
    start, end = weights.read_weights(handful.weights), weights.read_weights(snapshot(trained[0]))
    moved = {name for name in start if (start[name][0] != end[name][0]).any()}
    assert moved == set(start) - {"conv1"}
    assert end["cls_score"][0].shape[0] == 3 and end["bbox_pred"][0].shape[0] == 12


def test_the_script_ends_with_detections(trained):
    boxes = safe_pickle.load(output_of(trained[0], "handful_test", "tiny_faster_rcnn_iter_30",
                                       "detections.pkl"))
    assert len(boxes) == 3 and all(len(per_image) == 3 for per_image in boxes)


def test_resume_after_the_end_repeats_nothing(trained, handful, run_tool):
    folder, before = trained[0], content(snapshot(trained[0]))
    done = run_tool(TRAIN, *train_args(handful, folder, resume=True))
    assert done.status == 0, done.err
    assert "Wrote snapshot" not in done.out and "Solving" not in done.out
    assert f"Final model: {snapshot(folder)}\n" in done.out
    assert content(snapshot(folder)) == before


def test_killed_and_resumed_with_validation(trained, handful, tmp_path):
    """After SIGKILL, --resume goes on at the checkpoint and gives what one run gives, which did
    not validate."""
    watched = ["TRAIN.VAL_IMDB", handful.card + ":test", "TRAIN.VAL_ITERS", "10",
               "TRAIN.CURVE_ITERS", "10"]
    process = subprocess.Popen(command(TRAIN, *train_args(handful, tmp_path, *watched)),
                               cwd=cfg.ROOT_DIR, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        for _ in range(20000):
            assert process.poll() is None, "the training ended before it could be killed"
            if os.path.exists(results_of(tmp_path, "tiny_faster_rcnn_checkpoint.npz")):
                break
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not os.path.exists(snapshot(tmp_path))
    resumed = run_command(TRAIN, *train_args(handful, tmp_path, *watched, resume=True))
    assert resumed.returncode == 0, resumed.stderr
    assert "Continuing from" in resumed.stdout
    assert content(snapshot(tmp_path)) == content(snapshot(trained[0]))
    assert os.path.exists(results_of(tmp_path, "tiny_faster_rcnn_best.caffemodel"))
    with open(results_of(tmp_path, "tiny_faster_rcnn_curves.jsonl")) as file:
        points = [json.loads(line) for line in file]
    assert [p["iteration"] for p in points if "mean_ap" in p] == [10, 20, 30]
    assert [p["iteration"] for p in points if "loss/rpn_cls_loss" in p] == [10, 20, 30]


def killed_training(handful, folder, *settings, **changed):
    """Starts a training in a folder and kills it after its first checkpoint."""
    process = subprocess.Popen(command(TRAIN, *train_args(handful, folder, *settings, **changed)),
                               cwd=cfg.ROOT_DIR, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        for _ in range(20000):
            assert process.poll() is None, "the training ended before it could be killed"
            if glob.glob(os.path.join(results_of(folder), "**", "*_checkpoint.npz"),
                         recursive=True):
                break
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_resume_with_a_changed_setting_names_it_and_keeps_the_checkpoint(handful, tmp_path):
    killed_training(handful, tmp_path)
    kept = content(results_of(tmp_path, "tiny_faster_rcnn_checkpoint.npz"))
    done = run_command(TRAIN, *train_args(handful, tmp_path, "TRAIN.FG_THRESH", "0.6", resume=True,
                                          iters=12))
    assert done.returncode == 0, done.stderr
    line, = (line for line in done.stdout.splitlines() if "starts from the beginning" in line)
    assert "iterations was 30, is 12; prototxt; TRAIN.FG_THRESH was 0.5, is 0.6" in line
    assert "not finished" not in done.stdout and "Continuing from" not in done.stdout
    before = results_of(tmp_path, "tiny_faster_rcnn_checkpoint.npz.before")
    assert content(before) == kept and before in done.stdout
    assert os.path.exists(snapshot(tmp_path, 12))


@needs_bf16
def test_a_training_in_bf16(handful, tmp_path, run_tool):
    """Killed and resumed it gives what one run gives; its description says bf16, and the test
    follows it. With another precision the training begins anew and says why."""
    killed_training(handful, tmp_path, precision="bf16")
    resumed = run_command(TRAIN, *train_args(handful, tmp_path, precision="bf16", resume=True))
    assert resumed.returncode == 0 and "Continuing from" in resumed.stdout, resumed.stderr
    # in a process of its own too: after other tests the threads of this one round otherwise
    whole = tmp_path / "whole"
    assert run_command(TRAIN, *train_args(handful, whole, precision="bf16")).returncode == 0
    assert content(snapshot(tmp_path)) == content(snapshot(whole))
    with open(snapshot(whole).replace(".caffemodel", ".json")) as file:
        assert json.load(file)["settings"]["TEST"]["PRECISION"] == "bf16"
    tested = run_tool("test_net.py", "--cpu", "--net", snapshot(whole), "--imdb",
                      handful.card + ":test", "--set", *places(whole))
    assert tested.status == 0 and "TEST.PRECISION bf16" in tested.out, tested.err
    done = run_tool(TRAIN, *train_args(handful, whole, resume=True, iters=2))
    assert done.status == 0 and "TRAIN.PRECISION was bf16, is float32" in done.out, done.out


def test_a_snapshot_prefix_with_a_folder(handful, tmp_path):
    folder = tmp_path / "nets"
    shutil.copytree(MODEL, folder)
    solver = folder / "solver.prototxt"
    text = solver.read_text()
    solver.write_text(text.replace("tiny_faster_rcnn", "deep/er/tiny").replace(
        "models/pascal_voc/Tiny/faster_rcnn_end2end/", ""))
    killed_training(handful, tmp_path, solver=solver)
    resumed = run_command(TRAIN, *train_args(handful, tmp_path, solver=solver, resume=True))
    assert resumed.returncode == 0 and "Continuing from" in resumed.stdout, resumed.stderr
    final = f"Final model: {results_of(tmp_path, 'deep', 'er', 'tiny_iter_30.caffemodel')}\n"
    assert final in resumed.stdout
    again = run_command(TRAIN, *train_args(handful, tmp_path, solver=solver, resume=True))
    assert final in again.stdout and "Solving" not in again.stdout


def test_a_validation_net_with_the_training_nets_file_name(handful, tmp_path, run_tool):
    validation = tmp_path / "validation" / "train.prototxt"
    validation.parent.mkdir()
    shutil.copy(os.path.join(MODEL, "test.prototxt"), validation)
    done = run_tool(TRAIN, *train_args(handful, tmp_path, "TRAIN.VAL_IMDB", handful.card + ":test",
                                       "TRAIN.VAL_NET", str(validation), iters=2))
    assert done.status == 0, done.err
    net = prototxt.read_net(results_of(tmp_path, "tiny_faster_rcnn_prototxts", "train.prototxt"))
    assert "loss_bbox" in {layer.name for layer in net.layer}
    assert os.path.exists(results_of(tmp_path, "tiny_faster_rcnn_best.caffemodel"))


def test_two_runs_in_one_folder(handful, tmp_path, run_tool):
    record = results_of(tmp_path, "tiny_faster_rcnn_train.json")
    with RunLock(record):
        done = run_tool(TRAIN, *train_args(handful, tmp_path))
    refused(done, f"process {os.getpid()} on ", "since 20", results_of(tmp_path), "EXP_DIR")
    assert "Solving" not in done.out and not os.path.exists(record)


def test_sigterm_ends_a_training_with_a_checkpoint_and_the_way_to_go_on(trained, handful,
                                                                        tmp_path):
    args = ["-v", *train_args(handful, tmp_path, "TRAIN.CHECKPOINT_ITERS", "0")]
    process = subprocess.Popen(command(TRAIN, *args), cwd=cfg.ROOT_DIR, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in process.stdout:
        if ", loss = " in line:
            process.send_signal(signal.SIGTERM)
            break
    process.stdout.read()
    said = process.stderr.read()
    assert process.wait() == 143
    assert "stopped by SIGTERM at iteration" in said and "exit status 143" in said
    resume = shlex.split(said.strip().splitlines()[-1])
    assert resume == [*command(TRAIN, *args)[1:-len(SETTINGS) - 4 - 2 - 1], "--resume",
                      *map(str, args[args.index("--set"):])]
    done = subprocess.run([sys.executable, *resume], cwd=cfg.ROOT_DIR, capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0 and "Continuing from" in done.stdout, done.stderr
    assert content(snapshot(tmp_path)) == content(snapshot(trained[0]))


def test_the_log_has_glogs_prefix_where_parsers_look_for_it(trained):
    """As Caffe's tools/extra read a log: extract_seconds.py, parse_log.py, parse_log.sh."""
    [name] = os.listdir(trained[0] / "logs")
    lines = (trained[0] / "logs" / name).read_text().splitlines()
    started = next(line for line in lines if "Solving" in line)
    assert "] Solving " in started
    moment = re.compile(r"I(\d{4} \d\d:\d\d:\d\d\.\d{6}) +\d+ \S+:\d+\] ")
    losses = [line for line in lines if "Iteration" in line and ", loss = " in line]
    rates = [line for line in lines
             if re.search(r"sgd_solver.cpp:\d+\] Iteration \d+, lr = ", line)]
    outputs = [line for line in lines
               if re.search(r"Train net output #(\d+): (\S+) = ([\.\deE+-]+)", line)]
    assert len(losses) == len(rates) == 2 and len(outputs) == 8        # iterations 0 and 20
    for line in (started, *losses, *rates, *outputs):
        datetime.datetime.strptime(moment.match(line).group(1), "%m%d %H:%M:%S.%f")
    assert re.search(r"solver.cpp:\d+\] Iteration (\d+), loss = (\S+)", losses[1]).group(1) == "20"


def test_joined_data_sets_without_initial_weights(handful, tmp_path, run_tool):
    joined = f"{handful.card}:trainval+{handful.card}:test"
    done = run_tool(TRAIN, *train_args(handful, tmp_path, imdb=joined, weights=None, iters=1,
                                       rand=True))
    assert done.status == 0, done.err
    folder = output_of(tmp_path, "handful_trainval+handful_test")
    with open(os.path.join(folder, "tiny_faster_rcnn_train.json")) as file:
        assert json.load(file)["steps"]["train"]["figures"]["images"] == 2 * (6 + 3)
    assert f"Final model: {folder}/tiny_faster_rcnn_iter_1.caffemodel\n" in done.out


def test_two_images_per_batch(handful, tmp_path, run_tool):
    done = run_tool(TRAIN, *train_args(handful, tmp_path, "TRAIN.IMS_PER_BATCH", "2", iters=3))
    assert done.status == 0, done.err
    assert os.path.exists(snapshot(tmp_path, 3))


def test_non_approximate_training(handful, tmp_path, run_tool):
    solver = os.path.join(cfg.MODELS_DIR, "Tiny", "faster_rcnn_nonapprox", "solver.prototxt")
    done = run_tool(TRAIN, *train_args(handful, tmp_path, solver=solver, iters=3))
    assert done.status == 0, done.err
    assert os.path.exists(snapshot(tmp_path, 3))


@pytest.mark.parametrize("changed,words", (
    ({"solver": None}, ("no solver", "--solver")),
    ({"solver": "nowhere.prototxt"}, ("nowhere.prototxt", "does not exist")),
    ({"weights": "nowhere.caffemodel"}, ("nowhere.caffemodel", "do not exist")),
    ({"imdb": "voc_2006_trainval"}, ("voc_2006_trainval",)),
    ({"imdb": "+"}, ("Unknown dataset",)),
    ({"solver": "models/VGG16/solver.prototxt"}, (
        "models/VGG16/solver.prototxt", "models/pascal_voc/VGG16/fast_rcnn/solver.prototxt")),
    ({"solver": "models/pascal_voc"}, ("models/pascal_voc is a folder",)),
    ({"cfg": "nowhere.yml"}, ("nowhere.yml",)),
))
def test_what_users_mistype_is_one_line(handful, tmp_path, run_tool, changed, words):
    refused(run_tool(TRAIN, *train_args(handful, tmp_path, **changed)), *words)


def refused(done, *words):
    """Exit status 2 and a single line that says all of `words`."""
    lines = done.err.strip().splitlines()
    assert done.status == 2 and len(lines) == 1 and "error: " in lines[0], done.err
    assert all(word in lines[0] for word in words), lines[0]


def other_card(handful, folder):
    """A card of the same pictures with the classes in another order."""
    other = folder / "other.yml"
    with open(handful.card) as file:
        other.write_text(file.read().replace("[dark, light]", "[light, dark]"))
    return other


def test_data_sets_of_other_classes_cannot_be_joined(handful, tmp_path, run_tool):
    joined = f"{handful.card}:trainval+{other_card(handful, tmp_path)}:test"
    done = run_tool(TRAIN, *train_args(handful, tmp_path, imdb=joined))
    refused(done, "cannot be joined", "classes")


@pytest.mark.parametrize("words", (["--iters", "0"], ["--lr", "fast"], ["--steps", "1,2"]))
def test_bad_numbers(handful, tmp_path, run_tool, words):
    done = run_tool(TRAIN, *words, *train_args(handful, tmp_path, iters=None, lr=None))
    assert done.status == 2 and "is not a positive number" in done.err


@pytest.mark.parametrize("settings,words", (
    (("TRAIN.VAL_IMDB", "nothing_val"), ("Unknown dataset", "nothing_val")),
    (("TRAIN.VAL_IMDB", "OTHER"), ("other classes", "VAL_IMDB")),
    (("TRAIN.VAL_IMDB", "CARD", "TRAIN.VAL_NET", "nowhere.pt"), ("nowhere.pt", "VAL_NET")),
    (("TRAIN.VAL_IMDB", "CARD", "TRAIN.VAL_ITERS", "0"), ("TRAIN.VAL_ITERS",)),
))
def test_validation_that_cannot_work(handful, tmp_path, run_tool, settings, words):
    cards = {"CARD": handful.card, "OTHER": other_card(handful, tmp_path)}
    settings = [f"{cards[word]}:test" if word in cards else word for word in settings]
    refused(run_tool(TRAIN, *train_args(handful, tmp_path, *settings)), *words)


@pytest.mark.parametrize("old,new,words", (
    ('lr_policy: "step"', 'lr_policy: "stepp"', ("solver.prototxt", 'unknown lr_policy "stepp"')),
    ("stepsize: 3000", "stepsize: -1", ("solver.prototxt", "stepsize"))))
def test_a_wrong_solver_is_refused_before_the_data_are_loaded(handful, tmp_path, run_tool, old,
                                                              new, words):
    solver = tmp_path / "solver.prototxt"
    with open(os.path.join(MODEL, "solver.prototxt")) as file:
        text = file.read()
    assert old in text
    solver.write_text(text.replace(old, new))
    done = run_tool(TRAIN, *train_args(handful, tmp_path, solver=solver, imdb="nowhere_trainval"))
    refused(done, *words)


def test_rpn_net_without_rpn_settings(handful, tmp_path, run_tool):
    done = run_tool(TRAIN, *train_args(handful, tmp_path, "TRAIN.HAS_RPN", "False"))
    refused(done, "3 tops", "TRAIN.HAS_RPN False")
