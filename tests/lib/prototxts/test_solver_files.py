"""Solvers copied for a training: which net they name, when their rate drops."""
import os
import shutil

import pytest

from caffe.files import prototxt
from faster_rcnn.prototxts.solver_files import Numbers, adapt_solver
from faster_rcnn.settings.config import cfg


@pytest.mark.parametrize("deeper", ["", "models/pascal_voc/ZF/faster_rcnn_end2end"])
def test_a_solver_in_somebody_elses_project_means_the_net_beside_it(deeper, tmp_path):
    inner = "models/pascal_voc/ZF/faster_rcnn_end2end"
    theirs = tmp_path / "theirs" / deeper
    shutil.copytree(os.path.join(cfg.ROOT_DIR, inner), theirs)
    net = (theirs / "train.prototxt").read_text()
    (theirs / "train.prototxt").write_text(net.replace("num_output: 18", "num_output: 6"))
    solver = (theirs / "solver.prototxt").read_text()
    named = "train.prototxt" if not deeper else f"{inner}/train.prototxt"
    assert f"{inner}/train.prototxt" in solver and "num_output: 18" in net
    (theirs / "solver.prototxt").write_text(solver.replace(f"{inner}/train.prototxt", named))
    made = adapt_solver(str(theirs / "solver.prototxt"), str(tmp_path / "out"), 3, Numbers(5))
    layers = {layer.name: layer for layer in prototxt.read_net(made.net.path).layer}
    assert layers["rpn_cls_score"].convolution_param.num_output == 6


@pytest.mark.parametrize("max_iter,numbers,drops", [
    (70000, Numbers(7000), [5000, 6000]), (70000, Numbers(), [50000, 60000]),
    (None, Numbers(7000), [50000, 60000])])
def test_drops_of_a_multistep_solver_follow_the_iterations(tmp_path, max_iter, numbers, drops):
    source = tmp_path / "solver.prototxt"
    net = os.path.join(cfg.MODELS_DIR, "ZF", "faster_rcnn_end2end", "train.prototxt")
    source.write_text(f'train_net: "{net}" base_lr: 0.001 lr_policy: "multistep" gamma: 0.1 '
                      "stepvalue: 50000 stepvalue: 60000 "
                      + (f"max_iter: {max_iter}" if max_iter else ""))
    made = adapt_solver(str(source), str(tmp_path / "out"), 21, numbers)
    assert list(prototxt.read_solver(made.path).stepvalue) == drops


@pytest.mark.parametrize("max_iter,numbers,usual,iterations,stepsize", [
    # the original's solvers say nothing of iterations, and --iters leaves their steps alone
    (None, Numbers(70000), None, 70000, 50000),
    (None, Numbers(), None, 40000, 50000),
    (None, Numbers(100, stepsize=7), None, 100, 7),
    # where it is known how long the solver's schedule is, it is stretched
    (None, Numbers(8000), 80000, 8000, 5000),
    (70000, Numbers(7000), None, 7000, 5000),
    (70000, Numbers(), None, 70000, 50000)])
def test_iterations_and_drops_of_the_rate(tmp_path, max_iter, numbers, usual, iterations, stepsize):
    source = tmp_path / "solver.prototxt"
    net = os.path.join(cfg.MODELS_DIR, "ZF", "faster_rcnn_end2end", "train.prototxt")
    source.write_text(f'train_net: "{net}" base_lr: 0.001 lr_policy: "step" gamma: 0.1 '
                      f'stepsize: 50000 {f"max_iter: {max_iter}" if max_iter else ""}')
    made = adapt_solver(str(source), str(tmp_path / "out"), 21, numbers, usual)
    assert made.iterations == iterations
    assert prototxt.read_solver(made.path).stepsize == stepsize
