"""What the shell scripts ask of the tools, seen by a stand-in for Python that notes it down."""
import os
import re

import pytest
from scripted import make_project, run_script

from faster_rcnn.networks.catalogue import folders
from faster_rcnn.networks.store import find
from faster_rcnn.settings.config import cfg

SCRIPTS = os.path.join(cfg.ROOT_DIR, "experiments", "scripts")
STAND_IN = """#!/usr/bin/env bash
case "$1 $2" in
  "tools/card_splits.py "*) printf '%s_trainval\\n%s_test\\n' "$2" "$2" ;;
  "tools/test_net.py --parse-only") [[ $* != *--wrong* ]] || { echo "--wrong" >&2; exit 2; } ;;
  *) printf '%s\\n' "$*" >> "$CALLS"
     { printf 'Final model: out/final.caffemodel\\nFinal RPN: out/rpn.pkl\\n'
       printf 'Wrote svd model to: out/svd.caffemodel\\n'; } >> "$FASTER_RCNN_LOG" ;;
esac
"""


@pytest.fixture
def asked(tmp_path):
    """asked(script, *args): the words of each tool's command line."""
    folder = make_project(str(tmp_path / "project"))
    stand_in, calls = tmp_path / "python", tmp_path / "calls"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)

    def run(script, *args, status=0):
        calls.write_text("")
        done = run_script(folder, script, *args, CALLS=str(calls), PYTHON=str(stand_in))
        assert done.returncode == status, done.stderr
        return [line.split() for line in calls.read_text().splitlines()]
    return run


def value(words, option):
    """What the last of an option's uses says, as argparse takes it."""
    given = [words[i + 1] for i, word in enumerate(words[:-1]) if word == option]
    given += [word.split("=", 1)[1] for word in words if word.startswith(option + "=")]
    return given[-1] if given else None


def check(words, **expected):
    assert {name: value(words, "--" + name) for name in expected} == expected


def test_alternating_schedule_on_coco(asked):
    train, test = asked("faster_rcnn_alt_opt.sh", 0, "VGG16", "coco", "--det_thresh", "0.1",
                        "--set", "EXP_DIR", "foo")
    cfg_file = "experiments/cfgs/faster_rcnn_alt_opt_coco.yml"
    assert train[0] == "tools/train_faster_rcnn_alt_opt.py"
    check(train, gpu="0", net_name="VGG16", imdb="coco_2014_train", cfg=cfg_file, det_thresh=None)
    check(test, imdb="coco_2014_minival", cfg=cfg_file, net="out/final.caffemodel",
          det_thresh="0.1")
    assert value(test, "--def") == "models/pascal_voc/VGG16/faster_rcnn_alt_opt/faster_rcnn_test.pt"
    assert train[-3:] == test[-3:] == ["--set", "EXP_DIR", "foo"]


@pytest.mark.parametrize("script,solver", [("rfcn_end2end", "solver.prototxt"),
                                           ("rfcn_end2end_ohem", "solver_ohem.prototxt")])
@pytest.mark.parametrize("data,folder,splits", [
    ("pascal_voc", "pascal_voc", ("voc_0712_trainval", "voc_0712_test")),
    ("coco", "coco", ("coco_2014_train", "coco_2014_val"))])
def test_joint_rfcn(asked, script, solver, data, folder, splits):
    train, test = asked(f"{script}.sh", 0, "ResNet-101", data)
    model = f"models/{folder}/ResNet-101/rfcn_end2end/"
    check(train, imdb=splits[0], solver=model + solver, cfg=f"experiments/cfgs/{script}.yml")
    assert value(train, "--weights").endswith("data/imagenet_models/ResNet-101-model.caffemodel")
    check(test, imdb=splits[1], num_dets="400", det_thresh="-inf")
    assert value(test, "--def") == model + "test_agnostic.prototxt"
    for path in (model + solver, model + "test_agnostic.prototxt"):
        assert os.path.isfile(find(os.path.join(cfg.ROOT_DIR, path), cfg.ROOT_DIR))


def test_alternating_rfcn_on_coco(asked):
    train, test = asked("rfcn_alt_opt_5stage_ohem.sh", 0, "ResNet-50", "coco")
    check(train, imdb="coco_2014_train", imdb_test="coco_2014_val", iters="480000",
          steps="360000", cfg="experiments/cfgs/rfcn_alt_opt_5step_ohem_coco.yml")
    check(test, imdb="coco_2014_val", rpn_file="out/rpn.pkl", num_dets="400", det_thresh="-inf")
    train, _ = asked("rfcn_alt_opt_5stage_ohem.sh", 0, "ResNet-50", "coco", "--iters", "7")
    check(train, iters="7")


@pytest.mark.parametrize("script", ("faster_rcnn_alt_opt.sh", "faster_rcnn_end2end.sh",
                                    "rfcn_alt_opt_5stage_ohem.sh", "fast_rcnn.sh"))
def test_what_the_test_would_refuse_is_refused_before_the_training(asked, script):
    assert asked(script, 0, "VGG16", "my_card", "--wrong", "4", status=2) == []


def test_hard_examples(asked):
    train, test = asked("fast_rcnn_ohem.sh", 0, "VGG16", "pascal_voc", "--num_dets", "50")
    check(train, imdb="voc_2007_trainval", num_dets=None)
    check(test, imdb="voc_2007_test", num_dets="50", det_thresh="0.00001")
    train, test = asked("fast_rcnn_ohem_07tv12tv.sh", 1, "VGG16", "pascal_voc")
    check(train, gpu="1", imdb="voc_2007_trainval+voc_2012_trainval", iters="80000", steps="30000",
          cfg="experiments/cfgs/fast_rcnn_ohem.yml")
    check(test, imdb="voc_2007_test", num_dets="2000", det_thresh="0.00001")


EXPERIMENTS = sorted(name for name in os.listdir(SCRIPTS)
                     if os.path.islink(os.path.join(SCRIPTS, name)))
TRAINED = "output/default/voc_2007_trainval/vgg16_fast_rcnn_iter_40000.caffemodel"
NO_BOXES = "output/no_bbox_reg/voc_2007_trainval/vgg16_fast_rcnn_no_bbox_reg_iter_40000.caffemodel"


def test_all_experiments_of_fast_rcnn_have_their_old_names():
    assert len(EXPERIMENTS) == 24
    assert {name.split("_")[0] for name in EXPERIMENTS} == {
        "all", "default", "fc", "multiscale", "multitask", "no", "piecewise", "svd", "svm"}


@pytest.mark.parametrize("experiment,first,weights", [
    ("default", "train_net.py", "VGG16.v2.caffemodel"), ("fc_only", "train_net.py", "VGG16.v2"),
    ("no_bbox_reg", "train_net.py", "VGG16.v2"), ("piecewise", "train_net.py", NO_BOXES),
    ("multitask_no_bbox_reg", "test_net.py", TRAINED), ("svd", "compress_net.py", TRAINED),
    ("svm", "train_svms.py", TRAINED)])
def test_an_experiment_by_its_old_name(asked, experiment, first, weights):
    calls = asked(f"{experiment}_vgg16.sh", 3)
    assert calls[0][0] == f"tools/{first}" and calls[-1][0] == "tools/test_net.py"
    assert weights in (value(calls[0], "--weights") or value(calls[0], "--net"))
    check(calls[-1], gpu="3", imdb="voc_2007_test")
    assert "models/pascal_voc/VGG16/fast_rcnn/" in value(calls[-1], "--def")


def test_all_experiments_of_a_net(asked):
    calls = asked("all_caffenet.sh", 0, "--set", "RNG_SEED", "1")
    tools = [words[0][len("tools/"):-len(".py")] for words in calls]
    assert tools.count("test_net") == 7 and tools.count("train_net") == 4
    assert tools[-2:] == ["train_svms", "test_net"] and "compress_net" in tools
    assert all("RNG_SEED" in words for words in calls if "compress" not in words[0])


@pytest.mark.parametrize("script,args", [("svm_vgg16.sh", ()),
                                         ("faster_rcnn_alt_opt.sh", (0, "ZF"))])
def test_too_few_words_show_the_usage(script, args):
    done = run_script(cfg.ROOT_DIR, script, *args)
    assert done.returncode == 1 and "GPU" in done.stdout


@pytest.mark.parametrize("method,data_set", [
    ("faster_rcnn_alt_opt", "pascal_voc"), ("faster_rcnn_end2end", "pascal_voc"),
    ("faster_rcnn_end2end", "coco"), ("faster_rcnn_nonapprox", "pascal_voc"),
    ("fast_rcnn", "pascal_voc"), ("fast_rcnn", "coco")])
def test_the_usage_lists_all_nets(method, data_set):
    with open(os.path.join(SCRIPTS, f"{method}.sh"), encoding="utf-8") as file:
        usage = file.read().replace("\n# ", " ")
    listed = re.search(r"; for coco: (.+?) DATASET" if data_set == "coco" else
                       r"folder of models/pascal_voc: (.+?)(?:;| DATASET)", usage)[1]
    known = {folder.split("/")[1] for folder in folders()
             if folder.startswith(data_set + "/") and folder.endswith("/" + method)}
    assert {net.strip() for net in listed.replace("#", "").split(",")} == known
