"""Fast R-CNN on given proposals with Tiny on a few pictures: fast_rcnn.sh and its variants."""
import os

import numpy as np
import pytest
from given_proposals import MODEL, write_proposals
from handful import places
from scripted import run_script
from test_tool_errors import assert_refused

from caffe.files import weights
from faster_rcnn.files import safe_pickle
from faster_rcnn.settings.config import cfg

CONVOLUTIONS, HEAD = {f"conv{i}" for i in range(1, 7)}, {"fc6", "fc7", "cls_score", "bbox_pred"}


@pytest.fixture(scope="module")
def data(handful, tmp_path_factory):
    """(folder with proposals of both splits in their usual place, those for training)."""
    folder = str(tmp_path_factory.mktemp("proposals"))
    write_proposals(handful.card, "test", folder)
    return folder, write_proposals(handful.card, "trainval", folder)


def run_fast_rcnn(handful, data, folder, *args, initial=None):
    return run_script(
        cfg.ROOT_DIR, "fast_rcnn.sh", "cpu", "Tiny", handful.card, "--scale", "120", *args,
        "--set", "ROOT_DIR", folder, "DATA_DIR", data[0],
        WEIGHTS=initial or handful.weights, LOGS=str(folder / "logs"))


@pytest.fixture(scope="module")
def scripted(handful, data, tmp_path_factory):
    """(folder, what was printed) of a run of the script with four iterations."""
    folder = tmp_path_factory.mktemp("fast_rcnn")
    done = run_fast_rcnn(handful, data, folder, "--iters", "4", "--lr", "0.00001")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return folder, done.stdout


@pytest.fixture
def train(run_tool, handful, data, tmp_path):
    """train(variant, *settings, initial=, iters=): the weights in the last snapshot."""
    def run(variant, *settings, initial=handful.weights, iters=4):
        cfg_file = ["--cfg", f"experiments/cfgs/{variant}.yml"] if variant else []
        done = run_tool("train_net.py", "--cpu", "--solver",
                        os.path.join(MODEL, variant, "solver.prototxt"), "--weights", initial,
                        "--imdb", handful.card + ":trainval", "--iters", iters, "--lr", "0.00001",
                        "--scale", "120", *cfg_file, "--set", "ROOT_DIR", tmp_path, "DATA_DIR",
                        data[0], *settings)
        assert done.status == 0, done.err
        return weights.read_weights(final_model(done.out))
    return run


def final_model(text):
    line, = (line for line in text.splitlines() if line.startswith("Final model: "))
    return line.removeprefix("Final model: ")


def moved(before, after):
    """Names of the layers that changed; layers of `after` alone count as well."""
    return {name for name, arrays in after.items() if arrays and not (
        name in before and all(np.array_equal(a, b) for a, b in zip(before[name], arrays)))}


def test_the_script_trains_and_tests(scripted):
    folder, text = scripted
    path = folder / "output" / "default" / "handful_trainval" / "tiny_fast_rcnn_iter_4.caffemodel"
    lines = text.splitlines()
    assert lines[lines.index("done solving") - 1] == f"Wrote snapshot to: {path}"
    assert final_model(text) == str(path)
    assert any(line.startswith("Mean AP = ") for line in lines)
    logs = os.listdir(folder / "logs")
    assert len(logs) == 1 and logs[0].startswith("fast_rcnn_Tiny_--scale_120_--iters_4")


def test_first_layer_stands_still_and_all_others_learn(scripted, handful):
    before = weights.read_weights(handful.weights)
    after = weights.read_weights(final_model(scripted[1]))
    assert moved(before, after) == CONVOLUTIONS - {"conv1"} | HEAD
    assert after["cls_score"][0].shape == (3, 128) and after["bbox_pred"][0].shape == (12, 128)


def test_rpn_files_train_like_matlab_files(train, data, tmp_path):
    path = str(tmp_path / "handful_trainval_rpn_proposals.pkl")
    safe_pickle.dump(data[1], path)
    found = train("", "TRAIN.PROPOSAL_METHOD", "rpn", "TRAIN.PROPOSAL_FILE",
                  str(tmp_path / "{imdb}_rpn_proposals.pkl"))
    assert moved(train(""), found) == set()


def test_resuming_on_other_proposals_starts_over(run_tool, handful, data, tmp_path):
    path = str(tmp_path / "boxes.pkl")

    def resumed(boxes):
        safe_pickle.dump(boxes, path)
        done = run_tool("train_net.py", "--cpu", "--solver", os.path.join(MODEL, "solver.prototxt"),
                        "--weights", handful.weights, "--imdb", handful.card + ":trainval",
                        "--iters", "1", "--scale", "60", "--resume", "--set", *places(tmp_path),
                        "TRAIN.PROPOSAL_METHOD", "rpn", "TRAIN.PROPOSAL_FILE", path)
        assert done.status == 0, done.err
        return "done solving" in done.out

    assert [resumed(data[1]), resumed(data[1])] == [True, False]
    assert resumed([boxes[:-1] for boxes in data[1]])


def test_classes_first_then_boxes(train, handful, tmp_path):
    classes = train("no_bbox_reg")
    assert moved(weights.read_weights(handful.weights), classes) == (
        CONVOLUTIONS - {"conv1"} | HEAD - {"bbox_pred"})
    assert "bbox_pred" not in classes
    snapshot = str(tmp_path / "output" / "no_bbox_reg" / "handful_trainval"
                   / "tiny_fast_rcnn_no_bbox_reg_iter_4.caffemodel")
    assert moved(classes, train("piecewise", initial=snapshot)) == {"bbox_pred"}


def test_fully_connected_layers_alone(train, handful):
    found = train("fc_only")
    assert moved(weights.read_weights(handful.weights), found) == HEAD


def test_several_training_scales(train):
    first, second = (train("", "TRAIN.SCALES", scales, iters=3)
                     for scales in ("[100, 140]", "[100]"))
    assert moved(first, second) == CONVOLUTIONS - {"conv1"} | HEAD


def test_compression_of_the_trained_net(scripted, handful, data, tmp_path):
    trained = final_model(scripted[1])
    done = run_fast_rcnn(handful, data, tmp_path, "--variant", "svd", initial=trained)
    assert done.returncode == 0 and "Mean AP = " in done.stdout, done.stderr
    compressed = trained.removesuffix(".caffemodel") + "_svd_fc6_64_fc7_32.caffemodel"
    assert f"Wrote svd model to: {compressed}" in done.stdout
    assert os.path.isdir(tmp_path / "output" / "default" / "handful_test"
                         / os.path.basename(compressed).removesuffix(".caffemodel"))


@pytest.mark.parametrize("args,words", (
    (["--variant", "svm"], "name it in the variable WEIGHTS"),
    (["--variant=multi"], 'unknown variant "multi"; there are: multiscale'),
    (["--variant"], "unknown variant")))
def test_variants_that_cannot_start(args, words):
    done = run_script(cfg.ROOT_DIR, "fast_rcnn.sh", "cpu", "Tiny", "shapes", *args, WEIGHTS=None)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1


def test_training_without_proposals(run_tool, handful, tmp_path):
    def run(*settings):
        return run_tool("train_net.py", "--cpu", "--solver", os.path.join(MODEL, "solver.prototxt"),
                        "--weights", handful.weights, "--imdb", handful.card + ":trainval",
                        "--iters", "1", "--set", *places(tmp_path), *settings)

    assert_refused(run(), "selective_search_data", "handful_trainval.mat", "TRAIN.PROPOSAL_FILE")
    assert_refused(run("TRAIN.PROPOSAL_METHOD", "rpn"), "TRAIN.PROPOSAL_FILE", "rpn_generate")
    assert_refused(run("TRAIN.PROPOSAL_METHOD", "edgeboxes"), "edgeboxes", "edge_boxes")
