"""The five-stage R-FCN schedule on a few pictures, by the tools, with nets of one convolution."""
import json
import os

import numpy as np
import pytest
from easydict import EasyDict
from handful import places
from small_rfcn import write_nets

import caffe
from caffe.files import weights
from faster_rcnn.files import safe_pickle
from faster_rcnn.schedules import actions
from faster_rcnn.schedules.files import ScheduleFiles, ScheduleOptions
from faster_rcnn.schedules.rfcn import RFCN_5_STAGES
from faster_rcnn.schedules.tables import SECTIONS
from faster_rcnn.settings.config import cfg, cfg_override

TRAIN = "train_rfcn_alt_opt_5stage.py"
CFG = os.path.join(cfg.ROOT_DIR, "experiments", "cfgs", "rfcn_alt_opt_5step_ohem.yml")
STEPS = ["stage0_statistics", "stage1_rpn", "stage1_proposals", "stage1_rfcn", "stage2_rpn",
         "stage2_proposals", "stage2_rfcn", "stage3_rpn", "stage3_test_proposals"]
METHOD = "rfcn_alt_opt_5step_ohem"


@pytest.fixture
def small(handful, tmp_path):
    """Arguments of a training of the small net, all in one folder."""
    folder = tmp_path / "models" / "Small" / METHOD
    write_nets(str(folder))
    initial = str(tmp_path / "initial.caffemodel")
    rng = np.random.default_rng(0)
    weights.write_weights(initial, "small", [("conv", "Convolution", [
        rng.normal(0, 0.01, (8, 3, 5, 5)).astype(np.float32), np.zeros(8, np.float32)])])
    return ["--cpu", "--net_name", "Small", "--weights", initial, "--imdb",
            handful.card + ":trainval", "--imdb_test", handful.card + ":test", "--cfg", CFG,
            "--iters", "3,3,2,3,2", "--scale", "60"], [
        "--set", "MODELS_DIR", str(tmp_path / "models"), "TRAIN.RPN_MIN_SIZE", "2",
        "TEST.RPN_MIN_SIZE", "2", "TRAIN.RPN_POSITIVE_OVERLAP", "0.5", *places(tmp_path)]


def test_all_stages_and_the_test_on_the_last_proposals(run_tool, small, tmp_path, handful):
    options, settings = small
    done = run_tool(TRAIN, *options, *settings)
    assert done.status == 0, done.err
    results = tmp_path / "output" / METHOD / "handful_trainval"
    final = results / "Small_rfcn_final.caffemodel"
    proposals = results / "small_rpn_stage3_iter_2_test_proposals.pkl"
    assert f"Final model: {final}\nFinal RPN: {proposals}\n" in done.out
    with open(results / "Small_rfcn_alt_opt.json") as file:
        steps = json.load(file)["steps"]
    assert list(steps) == STEPS and all(step["finished"] for step in steps.values())
    assert len(safe_pickle.load(str(proposals))) == 3
    with open(results / "Small_anchor_statistics.json") as file:
        measured = json.load(file)
    assert len(measured["means"]) == 4 and min(measured["stds"]) > 0

    start, rfcn2, rpn3 = (weights.read_weights(str(path)) for path in (
        options[4], final, results / "small_rpn_stage3_iter_2.caffemodel"))
    assert final.read_bytes() == (
        results / "small_rfcn_ohem_stage2_iter_3.caffemodel").read_bytes()
    assert np.array_equal(rfcn2["conv"][0], rpn3["conv"][0])
    assert not np.array_equal(rfcn2["conv"][0], start["conv"][0])
    assert rfcn2["rfcn_cls"][0].shape[0] == 3 * 4 and rfcn2["rfcn_bbox"][0].shape[0] == 8 * 4

    again = run_tool(TRAIN, *options, "--resume", *settings)
    assert again.status == 0 and "Solving" not in again.out
    tested = run_tool("test_net.py", "--cpu", "--def",
                      tmp_path / "models" / "Small" / METHOD / "rfcn_test.pt", "--net", final,
                      "--imdb", handful.card + ":test", "--cfg", CFG, "--rpn_file", proposals,
                      "--num_dets", "400", "--scale", "60", *settings)
    assert tested.status == 0, tested.err
    assert "Mean AP = " in tested.out


def test_resume_measures_again_after_a_change_of_the_test_scales(run_tool, small, tmp_path):
    options, settings = small
    assert run_tool(TRAIN, *options, *settings).status == 0
    record = tmp_path / "output" / METHOD / "handful_trainval" / "Small_rfcn_alt_opt.json"
    before = json.loads(record.read_text())["steps"]
    again = run_tool(TRAIN, *options, "--resume", *settings, "TEST.SCALES", "[90]")
    assert again.status == 0, again.err
    after = json.loads(record.read_text())["steps"]
    for name in STEPS:
        assert after[name]["inputs"] != before[name]["inputs"], name
    assert after["stage0_statistics"]["output_hash"] != before["stage0_statistics"]["output_hash"]


def recording(section, read):
    """A copy of a section of cfg that adds the section's name to `read` when a setting is read."""
    class Recorder(EasyDict):
        def __getattribute__(self, name):
            if name.isupper():
                read.add(section)
            return super().__getattribute__(name)

        def __getitem__(self, name):
            read.add(section)
            return super().__getitem__(name)
    made = Recorder(cfg[section])
    read.clear()
    return made


def test_records_cover_the_sections_that_a_step_reads(run_tool, small, monkeypatch):
    options, settings = small
    seen = {}

    def watched(kind, action):
        def run(work):
            read, sections = set(), {name: cfg[name] for name in ("TRAIN", "TEST")}
            for name in sections:
                cfg[name] = recording(name, read)
            read.clear()
            try:
                return action(work)
            finally:
                seen.setdefault(kind, set()).update(read)
                for name, section in sections.items():
                    cfg[name] = section
        return run

    monkeypatch.setattr(actions, "ACTIONS", {kind: watched(kind, action)
                                             for kind, action in actions.ACTIONS.items()})
    done = run_tool(TRAIN, *options, *settings)
    assert done.status == 0, done.err
    assert seen == {kind: set(sections) for kind, sections in SECTIONS.items()}


def test_solvers_of_coco_by_the_names_of_py_r_fcn(tmp_path):
    folder = tmp_path / "models" / "coco" / "Small" / METHOD
    write_nets(str(folder))
    for path in list(folder.glob("*_solver*k*k.pt")):
        stem = path.name.partition("_solver")[0]
        path.rename(folder / f"{stem}_solver360k480k.pt")
    options = ScheduleOptions("Small", "coco_2014_train", None)
    with cfg_override(MODELS_DIR=str(tmp_path / "models" / "pascal_voc")):
        files = ScheduleFiles(options, RFCN_5_STAGES, 81, str(tmp_path / "out"))
    assert set(files.iterations.values()) == {480000} and len(files.iterations) == 5
    assert os.path.basename(files.paths["stage1_rpn_solver60k80k.pt"]) == (
        "stage1_rpn_solver360k480k.pt")


def test_nets_that_are_not_there_are_named(run_tool, small):
    options, settings = small
    done = run_tool(TRAIN, *options, "--model", "elsewhere", *settings)
    assert done.status == 2
    assert "no net Small" in done.err and "elsewhere" in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert caffe.state.device().type == "cpu"
