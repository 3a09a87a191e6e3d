"""What users mistype or forget: one clear line on stderr, exit status 2, no results touched."""
import os
import shutil
import sys

import numpy as np
import pytest
import torch
from handful import MODEL, places, run_command

import caffe
from caffe.files.weights import read_weights, write_weights
from faster_rcnn.settings.config import cfg

TRAIN, TEST = "train_faster_rcnn_alt_opt.py", "test_net.py"
TEST_NET = os.path.join(MODEL, "faster_rcnn_test.pt")


def train_args(handful, folder, **changed):
    """Arguments of a short training; `changed` replaces options by their names."""
    options = {"--gpu": "cpu", "--net_name": "Tiny", "--weights": handful.weights,
               "--imdb": handful.card + ":trainval", "--iters": "1,1,1,1", "--scale": "120"}
    options.update({"--" + key: value for key, value in changed.items()})
    flat = [word for option, value in options.items() for word in (option, value)]
    return [*flat, "--set", *places(folder)]


def assert_refused(done, *words):
    """Exit status 2 and a single line that says all of `words`."""
    assert done.status == 2, done.err
    lines = done.err.strip().splitlines()
    assert len(lines) == 1, done.err
    assert "error: " in lines[0] and "Traceback" not in done.err
    for word in words:
        assert word in lines[0]


def model_copy(folder, net="Tiny"):
    """A copy of Tiny's prototxts to spoil; returns (models folder, its files' folder)."""
    target = os.path.join(folder, "models", net, "faster_rcnn_alt_opt")
    shutil.copytree(MODEL, target)
    return os.path.join(folder, "models"), target


def spoil(path, old, new):
    with open(path) as file:
        text = file.read()
    assert old in text
    with open(path, "w") as file:
        file.write(text.replace(old, new, 1))
    return text[:text.index(old)].count("\n") + 1


@pytest.mark.parametrize("tool", (TRAIN, TEST, "rpn_generate.py"))
def test_no_argument_shows_the_help(run_tool, tool):
    done = run_tool(tool)
    assert done.status == 1
    assert "usage: " in done.out and "--set" in done.out


def test_as_a_process_of_its_own(handful, tmp_path):
    done = run_command(TRAIN, *train_args(handful, tmp_path, weights="nowhere.caffemodel"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "nowhere.caffemodel does not exist" in done.stderr.replace("do not", "does not")


def test_missing_initial_weights(run_tool, handful, tmp_path):
    assert_refused(run_tool(TRAIN, *train_args(handful, tmp_path, weights="no.caffemodel")),
                   "no.caffemodel", "--weights")


def test_weights_of_another_net(run_tool, handful, tmp_path):
    done = run_tool(TRAIN, *train_args(handful, tmp_path, net_name="SqueezeNet"))
    assert_refused(done, handful.weights)


def classifier_weights(folder):
    """Weights of the shared layers alone, as an ImageNet classifier has them."""
    path = str(folder / "classifier.caffemodel")
    net = caffe.Net(TEST_NET, caffe.TEST)
    write_weights(path, "Tiny", [(name, "", [blob.data for blob in blobs])
                                 for name, blobs in net.params.items() if name.startswith("conv")])
    return path


@pytest.mark.parametrize("tool,net,layers", (
    (TEST, TEST_NET, ("rpn_conv/3x3", "rpn_cls_score", "fc6", "cls_score", "bbox_pred")),
    ("rpn_generate.py", os.path.join(MODEL, "rpn_test.pt"), ("rpn_cls_score", "rpn_bbox_pred"))))
def test_layers_that_the_weights_do_not_fill(run_tool, handful, tmp_path, tool, net, layers):
    options = ["--cpu", "--def", net, "--net", classifier_weights(tmp_path), "--imdb",
               handful.card + ":test", "--scale", "120"]
    settings = ["--set", "TEST.HAS_RPN", "True", *places(tmp_path)]
    assert_refused(run_tool(tool, *options, *settings), "classifier.caffemodel", *layers,
                   "--allow-random")
    allowed = run_tool(tool, *options, "--allow-random", *settings)
    assert allowed.status == 0, allowed.err


def test_the_demo_refuses_layers_that_the_weights_do_not_fill(run_tool, handful, tmp_path):
    picture = os.path.join(os.path.dirname(handful.card), "JPEGImages", "test0.jpg")
    done = run_tool("demo.py", "--cpu", "--net", "tiny", "--weights", classifier_weights(tmp_path),
                    "--card", handful.card, "--out", tmp_path, picture)
    assert_refused(done, "cls_score", "--allow-random")


def test_missing_test_weights(run_tool, handful, tmp_path):
    assert_refused(run_tool(TEST, "--cpu", "--def", TEST_NET, "--net", "no.caffemodel", "--imdb",
                            handful.card + ":test", "--set", "TEST.HAS_RPN", "True",
                            *places(tmp_path)), "no.caffemodel")


def test_typo_in_a_prototxt_of_the_last_stage(run_tool, handful, tmp_path):
    models, files = model_copy(tmp_path)
    path = os.path.join(files, "stage2_fast_rcnn_train.pt")
    line = spoil(path, "num_output", "num_outptu")
    for solver in ("stage2_fast_rcnn_solver30k40k.pt",):
        spoil(os.path.join(files, solver), "models/pascal_voc", models)
    done = run_tool(TRAIN, *train_args(handful, tmp_path), "MODELS_DIR", models)
    assert_refused(done, f"stage2_fast_rcnn_train.pt:{line}:", "num_outptu", "num_output")


def test_unknown_layer_type(run_tool, handful, tmp_path):
    models, files = model_copy(tmp_path)
    spoil(os.path.join(files, "faster_rcnn_test.pt"), '"ROIPooling"', '"ROIPoolin"')
    done = run_tool(TRAIN, *train_args(handful, tmp_path), "MODELS_DIR", models)
    assert_refused(done, "ROIPoolin", "ROIPooling")


def test_unknown_net(run_tool, handful, tmp_path):
    done = run_tool(TRAIN, *train_args(handful, tmp_path, net_name="ResNot"))
    assert_refused(done, "ResNot", "Tiny")
    assert "Using config" not in done.out


def test_no_net_lists_those_that_are_there(run_tool, handful, tmp_path):
    options = [word for word in train_args(handful, tmp_path) if word not in ("--net_name", "Tiny")]
    assert_refused(run_tool(TRAIN, *options), "no net given", "--net_name", "SqueezeNet", "Tiny")


def test_unknown_config_key(run_tool, handful, tmp_path):
    done = run_tool(TRAIN, *train_args(handful, tmp_path), "TRAIN.SCALE", "[100]")
    assert_refused(done, "TRAIN.SCALE", "TRAIN.SCALES")


def test_a_setting_that_a_later_step_refuses(run_tool, handful, tmp_path):
    done = run_tool(TRAIN, *train_args(handful, tmp_path), "TRAIN.RANDOM_CROP", "[0.5, 0.5]")
    assert_refused(done, "TRAIN.RANDOM_CROP", "TRAIN.HAS_RPN")
    assert not os.path.exists(tmp_path / "output")


def test_weights_trained_with_other_anchors(run_tool, handful, tmp_path):
    done = run_tool(TRAIN, *train_args(handful, tmp_path), "ANCHOR_SCALES", "[2]")
    assert_refused(done, "rpn_cls_score", "(24, 96, 1, 1)", "trained with other anchors")
    done = run_tool(TRAIN, *train_args(handful, tmp_path), "ANCHOR_SCALES", "[2]",
                    "ANCHOR_RATIOS", "[1]")
    assert_refused(done, "rpn_cls_score", "(24, 96, 1, 1)", "trained with other anchors")


def test_weights_of_a_detector_for_other_classes(run_tool, handful, tmp_path):
    path = str(tmp_path / "detector.caffemodel")
    layers = [(name, "", arrays) for name, arrays in read_weights(handful.weights).items()]
    layers.append(("cls_score", "", [np.zeros((21, 128), np.float32), np.zeros(21, np.float32)]))
    write_weights(path, "Tiny", layers)
    done = run_tool(TRAIN, *train_args(handful, tmp_path, weights=path))
    assert_refused(done, "cls_score", "(21, 128)", "TRAIN.SKIP_MISMATCHED True")
    tested = run_tool(TEST, "--cpu", "--def", TEST_NET, "--net", path, "--imdb",
                      handful.card + ":test", "--set", "TEST.HAS_RPN", "True", *places(tmp_path))
    assert_refused(tested, "cls_score", "another number of classes")
    assert "Solving" not in done.out        # although the RPN of stage 1 has no such layer
    done = run_tool(TRAIN, *train_args(handful, tmp_path, weights=path), "TRAIN.SKIP_MISMATCHED",
                    "True")
    assert done.status == 0 and "Final model: " in done.out, done.err


def test_config_value_missing(run_tool, handful, tmp_path):
    assert_refused(run_tool(TRAIN, *train_args(handful, tmp_path), "TRAIN.SCALES"), "TRAIN.SCALES")


def test_unknown_choice_of_suppression(run_tool, handful, tmp_path):
    done = run_tool(TRAIN, *train_args(handful, tmp_path), "TEST.SOFT_NMS", "hard")
    assert_refused(done, "TEST.SOFT_NMS", "'linear' or 1, 'gaussian' or 2; not 'hard'")


def test_unknown_data_set(run_tool, handful, tmp_path):
    assert_refused(run_tool(TRAIN, *train_args(handful, tmp_path, imdb="voc_2006_trainval")),
                   "voc_2006_trainval", "voc_2007_trainval")


def test_class_that_the_card_does_not_name(run_tool, handful, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(os.path.dirname(handful.card), folder)
    card = os.path.join(folder, "handful.yml")
    spoil(card, "classes: [dark, light]", "classes: [dark]")
    spoil(card, os.path.dirname(handful.card), str(folder))
    done = run_tool(TRAIN, *train_args(handful, tmp_path, imdb=card + ":trainval"))
    assert_refused(done, "light")


def test_unreadable_image(run_tool, handful, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(os.path.dirname(handful.card), folder)
    card = os.path.join(folder, "handful.yml")
    spoil(card, os.path.dirname(handful.card), str(folder))
    for name in os.listdir(folder / "JPEGImages"):
        if name.startswith("trainval"):
            (folder / "JPEGImages" / name).write_bytes(b"no picture")
    done = run_tool(TRAIN, *train_args(handful, tmp_path, imdb=card + ":trainval"))
    assert_refused(done, "trainval", ".jpg")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_gpu_asked_for_and_none_there(run_tool, handful, tmp_path):
    assert_refused(run_tool(TRAIN, *train_args(handful, tmp_path, gpu="0")), "GPU 0", "--cpu")


def test_results_of_an_earlier_run_survive_a_refused_one(run_tool, handful, tmp_path):
    results = tmp_path / "output" / "default" / "handful_trainval"
    results.mkdir(parents=True)
    kept = {name: b"precious" for name in ("Tiny_faster_rcnn_final.caffemodel", "Tiny_alt_opt.json",
                                           "tiny_rpn_stage1_iter_1.caffemodel")}
    for name, content in kept.items():
        (results / name).write_bytes(content)
    assert_refused(run_tool(TRAIN, *train_args(handful, tmp_path, weights="no.caffemodel")))
    assert {name: (results / name).read_bytes() for name in kept} == kept


def test_script_passes_the_status_of_a_failing_tool_on(tmp_path):
    import subprocess
    script = os.path.join(cfg.ROOT_DIR, "experiments", "scripts", "faster_rcnn_alt_opt.sh")
    done = subprocess.run(["bash", script, "cpu", "Tiny", "no_such_data"], capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 2
    assert "no_such_data" in done.stderr + done.stdout


@pytest.mark.parametrize("words,wrong", ((("0", "ZF", "--set", "EXP_DIR", "foo"), "DATASET"),
                                         (("0", "--iters", "3"), "NET"),
                                         (("--resume", "ZF", "shapes"), "GPU")))
def test_script_without_one_of_its_first_words(tmp_path, words, wrong):
    import subprocess
    script = os.path.join(cfg.ROOT_DIR, "experiments", "scripts", "faster_rcnn_alt_opt.sh")
    done = subprocess.run(["bash", script, *words], capture_output=True, text=True, timeout=60,
                          env=dict(os.environ, LOGS=str(tmp_path)))
    assert done.returncode == 2
    assert f"stands where the {wrong} should be" in done.stderr
    assert "GPU NET DATASET" in done.stderr and done.stderr.count("\n") == 1


def test_a_tool_finds_the_projects_python_by_itself(tmp_path):
    """Started by a Python without PyTorch, in a project whose .venv is a stand-in."""
    import subprocess
    os.symlink(os.path.join(cfg.ROOT_DIR, "lib"), tmp_path / "lib")
    (tmp_path / "tools").mkdir()
    for name in ("_init_paths.py", TEST):
        shutil.copy(os.path.join(cfg.ROOT_DIR, "tools", name), tmp_path / "tools")
    bare = [sys.executable, "-I", "-S", str(tmp_path / "tools" / TEST), "--net", "a b"]
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); sys.argv.pop(0); import runpy; " \
           "runpy.run_path(sys.argv[0], run_name='__main__')"
    bare[3:4] = ["-c", code, str(tmp_path / "tools"), bare[3]]
    alone = subprocess.run(bare, capture_output=True, text=True, timeout=60)
    assert alone.returncode == 2 and "run `make` in" in alone.stderr
    assert alone.stderr.count("\n") == 1
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    python.chmod(0o755)
    done = subprocess.run(bare, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{tmp_path / 'tools' / TEST}|--net|a b|", done.stderr


@pytest.mark.parametrize("tool,options,words", [
    (TRAIN, ("--gpu", "first"), ("first", "--help")),
    (TEST, ("--num_dets", "many"), ("--num_dets", "many")),
    ("reval.py", ("--comp",), ("output_dir",)),
    (TEST, ("--cpu", "--cfg", "no.yml"), ("no.yml", "--cfg")),
    ("train_net.py", ("--cpu", "--set", "TRAIN.SNAPSHOT_ITERS", "0"), ("SNAPSHOT_ITERS", "0")),
    ("train_net.py", ("--cpu", "--set", "TRAIN.BBOX_NORMALIZE_STDS", "[1, 1]"), ("four numbers",)),
    ("train_net.py", ("--cpu", "--set", "TRAIN.FG_FRACTION", "3"), ("FG_FRACTION", "3")),
    ("train_net.py", ("--cpu", "--set", "TRAIN.IMS_PER_BATCH", "0"), ("IMS_PER_BATCH",)),
    ("train_net.py", ("--cpu", "--set", "RNG_SEED", "-1"), ("RNG_SEED", "-1")),
    (TEST, ("--cpu", "--num_dets", "-3"), ("--num_dets", "-3")),
    (TEST, ("--cpu", "--det_thresh", "nan"), ("--det_thresh", "nan")),
    ("demo.py", ("--cpu", "--nms", "1.5"), ("--nms", "1.5", "from 0 to 1")),
    (TEST, ("--cpu", "--set", "EXP_DIR", ""), ("EXP_DIR",))])
def test_bad_values_of_options_and_settings(run_tool, tool, options, words):
    assert_refused(run_tool(tool, *options), *words)


@pytest.mark.parametrize("tool,net,settings,blob", [
    (TEST, "rpn_test.pt", ("TEST.HAS_RPN", "True"), "no blob bbox_pred and no cls_prob"),
    (TEST, "../fast_rcnn/test.prototxt", ("TEST.HAS_RPN", "True"), "no blob im_info"),
    ("rpn_generate.py", "faster_rcnn_test.pt", (), "no blob scores")])
def test_a_net_for_another_tool(run_tool, handful, tmp_path, tool, net, settings, blob):
    done = run_tool(tool, "--cpu", "--def", os.path.join(MODEL, net), "--net", handful.weights,
                    "--imdb", handful.card + ":test", "--scale", "120", "--allow-random", "--set",
                    *settings, *places(tmp_path))
    assert_refused(done, blob, "--def", "TEST.HAS_RPN")


def test_proposal_methods_that_exist_are_listed(run_tool, handful, tmp_path):
    done = run_tool("eval_recall.py", "--imdb", handful.card + ":test", "--method", "boxes")
    assert_refused(done, "it has: edge_boxes, gt, mcg, rpn, selective_search")
