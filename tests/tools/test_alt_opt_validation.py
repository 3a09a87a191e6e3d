"""The alternating schedule validated: each stage by what it trains."""
import json
import os

import pytest
from handful import places

from faster_rcnn.settings.config import cfg

TRAIN = "train_faster_rcnn_alt_opt.py"
CFG = os.path.join(cfg.ROOT_DIR, "experiments", "cfgs", "faster_rcnn_alt_opt_Tiny.yml")
STAGES = {"tiny_rpn_stage1": "recall", "tiny_fast_rcnn_stage1": "mean_ap",
          "tiny_rpn_stage2": "recall", "tiny_fast_rcnn_stage2": "mean_ap"}


def train_args(handful, folder, *settings):
    return ["--cpu", "--net_name", "Tiny", "--weights", handful.weights, "--imdb",
            handful.card + ":trainval", "--cfg", CFG, "--iters", "4,4,4,4", "--lr", "0.001",
            "--scale", "120", "--resume", "--set", "TRAIN.RPN_MIN_SIZE", "4", "TEST.RPN_MIN_SIZE",
            "4", *settings, "EXP_DIR", "watched", *places(folder)]


def test_every_stage_is_validated_and_the_best_weights_are_kept(handful, tmp_path, run_tool):
    watched = ["TRAIN.VAL_IMDB", handful.card + ":test", "TRAIN.VAL_ITERS", "2",
               "TRAIN.CURVE_ITERS", "2", "TRAIN.VAL_TAKE_BEST", "True", "TRAIN.TENSORBOARD", "True"]
    done = run_tool(TRAIN, *train_args(handful, tmp_path, *watched))
    assert done.status == 0, done.err
    folder = os.path.join(str(tmp_path), "output", "watched", "handful_trainval")
    for stem, measure in STAGES.items():
        with open(os.path.join(folder, stem + "_curves.jsonl"), encoding="utf-8") as file:
            read = [json.loads(line) for line in file]
        values = [(point["iteration"], point[measure]) for point in read if measure in point]
        assert [iteration for iteration, _ in values] == [2, 4]
        assert all(0 <= value <= 1 for _, value in values)
        assert [point["iteration"] for point in read if "loss" in point] == [2, 4]
        assert os.path.isfile(os.path.join(folder, stem + "_best.caffemodel"))
        assert os.listdir(os.path.join(folder, stem + "_events"))
    with open(os.path.join(folder, "Tiny_alt_opt.json"), encoding="utf-8") as file:
        steps = json.load(file)["steps"]
    assert steps["stage2_fast_rcnn"]["output"] == "tiny_fast_rcnn_stage2_best.caffemodel"
    assert "best recall" in steps["stage1_rpn"]["figures"]
    final, best = (os.path.join(folder, name) for name in (
        "Tiny_faster_rcnn_final.caffemodel", "tiny_fast_rcnn_stage2_best.caffemodel"))
    with open(final, "rb") as one, open(best, "rb") as other:
        assert one.read() == other.read()
    assert "best recall" in done.out and "\ntotal " in done.out

    again = run_tool(TRAIN, *train_args(handful, tmp_path, *watched))
    assert again.status == 0 and "Solving" not in again.out and "(done before)" in again.out


def test_a_split_of_other_classes_is_refused_before_the_first_stage(handful, tmp_path, run_tool):
    other = tmp_path / "other.yml"
    with open(handful.card, encoding="utf-8") as file:
        other.write_text(file.read().replace("[dark, light]", "[light, dark]"))
    done = run_tool(TRAIN, *train_args(handful, tmp_path, "TRAIN.VAL_IMDB", f"{other}:test"))
    assert done.status == 2 and "other classes" in done.err and "Solving" not in done.out


@pytest.mark.parametrize("take_best", ("True", "False"))
def test_patience_of_a_stage(handful, tmp_path, run_tool, take_best):
    """One validation without an improvement ends each stage: nothing learns at a rate of 0."""
    args = train_args(handful, tmp_path, "TRAIN.VAL_IMDB", handful.card + ":test",
                      "TRAIN.VAL_ITERS", "1", "TRAIN.VAL_PATIENCE", "1", "TRAIN.VAL_TAKE_BEST",
                      take_best)
    args[args.index("--lr") + 1] = "1e-30"
    done = run_tool(TRAIN, *args)
    assert done.status == 0 and done.out.count("Training ends") == 4, done.err
    folder = os.path.join(str(tmp_path), "output", "watched", "handful_trainval")
    ends = {name for name in os.listdir(folder) if name.endswith("_iter_2.caffemodel")}
    assert len(ends) == (0 if take_best == "True" else 4)
