"""The R-FCN scripts from end to end, with nets of one convolution."""
import json
import os

import numpy as np
import pytest
from scripted import make_project, run_script, settings
from small_rfcn import write_joint_nets, write_nets

from caffe.files import weights
from faster_rcnn.files import safe_pickle

SMALL_OBJECTS = ["TRAIN.RPN_MIN_SIZE", "2", "TEST.RPN_MIN_SIZE", "2",
                 "TRAIN.RPN_POSITIVE_OVERLAP", "0.5"]


@pytest.fixture
def project(tmp_path):
    """A project with the net Small, and its initial weights in their usual place."""
    folder = make_project(str(tmp_path / "project"))
    models = os.path.join(folder, "models", "pascal_voc", "Small")
    write_joint_nets(os.path.join(models, "rfcn_end2end"))
    write_nets(os.path.join(models, "rfcn_alt_opt_5step_ohem"))
    initial = os.path.join(folder, "data", "imagenet_models", "Small-model.caffemodel")
    os.makedirs(os.path.dirname(initial))
    rng = np.random.default_rng(0)
    weights.write_weights(initial, "small", [("conv", "Convolution", [
        rng.normal(0, 0.01, (8, 3, 5, 5)).astype(np.float32), np.zeros(8, np.float32)])])
    return folder


@pytest.mark.parametrize("method,iters,snapshot", [
    ("rfcn_end2end_ohem", "2", "small_rfcn_ohem_iter_2"),
    ("rfcn_alt_opt_5stage_ohem", "2,2,1,2,1", "Small_rfcn_final")])
def test_a_script_trains_and_tests(project, handful, method, iters, snapshot):
    done = run_script(project, f"{method}.sh", "cpu", "Small", handful.card, "--iters", iters,
                      "--scale", "60", "--set", *SMALL_OBJECTS, *settings(project))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "Mean AP = " in done.stdout
    experiment = method.replace("5stage", "5step")
    results = os.path.join(project, "output", experiment)
    found = safe_pickle.load(os.path.join(results, "handful_test", snapshot, "detections.pkl"))
    # whatever their score: two classes of each of at most 300 rois, but no more than 400
    counts = [sum(len(of_class[image]) for of_class in found) for image in range(3)]
    assert max(counts) <= 400 and min(counts) > 20
    trained = os.path.join(results, "handful_trainval")
    assert os.path.exists(os.path.join(trained, snapshot + ".caffemodel"))
    log, = os.listdir(os.path.join(project, "experiments", "logs"))
    assert log.startswith(f"{experiment}_Small_--iters_{iters}_--scale_60")
    if "alt_opt" in method:
        with open(os.path.join(trained, "Small_rfcn_alt_opt.json")) as file:
            assert len(json.load(file)["steps"]) == 9
