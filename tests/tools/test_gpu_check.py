"""gpu_check where there is no GPU: it says so; tried out on the CPU; its comparisons find
differences."""
import json
import math

import pytest
import torch
from handful import TOOLS, run_command
from measure import comparisons, gpu_benches, gpu_part
from measure.parts import Figures, NotHere

from caffe.operators import ops


@pytest.fixture
def gpu_check(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    import gpu_check
    return gpu_check


@pytest.fixture
def figures(tmp_path):
    return Figures(str(tmp_path / "figures.json"), math.inf)


def names(rows):
    return [row["name"] for row in rows]


def failing(figures):
    return names(row for row in figures.rows if not row["ok"])


def test_without_a_gpu_one_line_and_exit_status_2(gpu_check, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_check.main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"gpu_check: PyTorch {torch.__version__} sees no GPU here\n"


def test_missing_packages_are_named(gpu_check, monkeypatch, capsys):
    monkeypatch.setattr(gpu_check, "PACKAGES", ["torch", "no_such_package", "google.no_such"])
    assert gpu_check.main([]) == 2
    assert "has no no_such_package, google.no_such; run `make`" in capsys.readouterr().err


def test_the_limits_of_all_parts_are_within_the_whole(gpu_check):
    assert gpu_check.LIMITS.keys() == gpu_part.WORK.keys()
    assert sum(gpu_check.LIMITS.values()) <= 60 * gpu_check.MINUTES == 480


def test_on_the_cpu(tmp_path):
    path = tmp_path / "made" / "figures.json"
    done = run_command("gpu_check.py", "--device", "cpu", "--quick", "--parts", "schedule",
                       "test_nets", "--minutes", "1.9", "--json", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    *_, missing, where, verdict = done.stdout.splitlines()
    assert where == f"figures: {path}" and verdict == "all is well"
    report = json.loads(path.read_text())
    nets, schedule = report["parts"]     # in the order of the program
    assert report["device"] == "cpu" and report["torch"] == torch.__version__
    assert names(nets["rows"] + nets["left_out"]) == [
        "Tiny test float32", "Tiny test tf32", "Tiny test bf16"]
    assert all(row["ratio"] > 0 and row["ours_ms"] > 0 for row in nets["rows"])
    assert 0 < nets["seconds"] <= report["seconds"] < 114
    assert schedule["status"] == "left out"     # it may take two minutes
    assert missing.startswith("left out: schedule, it may take 120 s")


def test_endings_name_what_is_missing_and_what_failed(gpu_check):
    part = {"status": "done", "rows": [], "left_out": []}
    report = {"parts": [
        {**part, "name": "comparisons", "status": "failed",
         "rows": [{"name": "nms", "ok": False}, {"name": "lrn", "ok": True}]},
        {**part, "name": "test_nets", "left_out": [{"name": "VGG16", "why": "no time was left"}]},
        {**part, "name": "training", "status": "stopped at its limit"},
        {**part, "name": "schedule", "status": "left out", "why": "it may take 9 s"}]}
    assert gpu_check.endings(report) == ([
        "left out: schedule, it may take 9 s", "left out: test_nets: VGG16, no time was left",
        "comparisons: failed: nms", "training: stopped at its limit"], 2)


def test_trainings_are_measured(figures):
    gpu_benches.training(figures, "cpu", gpu_benches.QUICK)
    assert figures.failures() == 0
    assert names(figures.rows + figures.left_out) == [
        f"Tiny {stage} {numbers}" for stage in ("stage1_fast_rcnn", "joint")
        for numbers in ("float32", "tf32", "bf16")]
    assert all(row["ours_ms"] > 0 and row["bare_ms"] > 0 for row in figures.rows)


def test_operators_are_measured(figures):
    gpu_benches.operators(figures, "cpu", gpu_benches.QUICK)
    assert figures.failures() == 0 and gpu_benches.FULL.operators.keys() == {
        row["name"].split()[0] for row in figures.rows}
    assert all(row["forward_ms"] > 0 for row in figures.rows)
    assert all(row["backward_ratio"] > 0 for row in figures.rows if "L1" in row["name"])


def test_bf16_is_left_out_where_the_device_has_none(monkeypatch):
    monkeypatch.setattr("caffe.core.precision.has_bf16", lambda device: False)
    with pytest.raises(NotHere, match="no instructions for bf16"):
        gpu_benches.net_row("Tiny", "test", "bf16", "cpu", gpu_benches.QUICK)


def test_numbers_hold_in_the_block_alone():
    import caffe
    with gpu_benches.computing_in("tf32"):
        assert torch.backends.cuda.matmul.allow_tf32 and caffe.precision() == "float32"
    with pytest.raises(KeyError), gpu_benches.computing_in("bf16"):
        assert caffe.precision() == "bf16" and not torch.backends.cudnn.allow_tf32
        raise KeyError
    assert caffe.precision() == "float32" and not torch.backends.cuda.matmul.allow_tf32


def test_operators_that_agree(figures):
    comparisons.compare_operators(figures, "cpu")
    assert failing(figures) == []
    assert set(names(figures.rows)) == {
        "roi_pool", "roi_align", "psroi_pool", "smooth_l1_loss", "nms", "batched_nms", "soft_nms",
        "lrn_across", "lrn_within", "sgd_update_"}


def test_operators_that_differ(figures, monkeypatch):
    calls = []

    def drifting(x, *args):
        calls.append(x)
        return x * (1 + 1e-3 * len(calls))
    monkeypatch.setattr(ops, "lrn_within", drifting)
    monkeypatch.setattr(ops, "nms", lambda dets, thresh: torch.arange(len(calls) + 1)
                        if calls.append(dets) is None else None)
    comparisons.compare_operators(figures, "cpu")
    assert failing(figures) == ["nms", "lrn_within"]


@pytest.mark.parametrize("of", [0, 1])      # the result, a gradient
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_is_not_finite_differs(monkeypatch, number, of):
    real, calls = comparisons.run_case, []

    def run_case(case, device):
        calls.append(1)
        results, seconds = real(case, device)
        if len(calls) == 2:     # the second device
            results[of] = results[of].index_fill(0, torch.tensor(0), number)
        return results, seconds
    monkeypatch.setattr(comparisons, "run_case", run_case)
    row = comparisons.compared(comparisons.operator_cases()["roi_pool"], "cpu")
    assert not row["ok"] and not math.isfinite(row["difference"])


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_nan_anywhere_is_the_largest_difference(place):
    want, got = [torch.ones(3)] * 3, [torch.ones(3), torch.full((3,), 2.0), torch.ones(3)]
    assert comparisons.largest_difference(got, want) == 1
    got[place] = torch.tensor([1, math.nan, 1])
    assert math.isnan(comparisons.largest_difference(got, want))
    assert comparisons.largest_difference([torch.ones(2)], [torch.ones(3)]) == math.inf


def test_runs_that_do_not_repeat(figures, monkeypatch):
    draws = iter(range(100))
    monkeypatch.setattr(ops, "lrn_within", lambda x, *args: x * (1 + 1e-6 * next(draws)))
    comparisons.compare_repeats(figures, "cpu")
    assert failing(figures) == ["lrn_within, repeated"] and len(figures.rows) == 10
    assert not torch.are_deterministic_algorithms_enabled()


def test_training_steps_take_nan_for_a_difference(monkeypatch):
    same = comparisons.training_steps(False, 1)
    weights = {key: value * (math.nan if key == ("fc", 0) else 1) for key, value in same[0].items()}
    answers = iter([same, (weights, same[1])])
    monkeypatch.setattr(comparisons, "training_steps", lambda use_gpu: next(answers))
    assert not comparisons.trained("cpu")["ok"]


def test_training_steps(figures, monkeypatch):
    comparisons.compare_training(figures, "cpu")
    assert failing(figures) == []
    same = comparisons.training_steps(False)
    weights = {key: value * (1.001 if key == ("fc", 0) else 1) for key, value in same[0].items()}
    answers = iter([same, (weights, same[1])])
    monkeypatch.setattr(comparisons, "training_steps", lambda use_gpu: next(answers))
    assert not comparisons.trained("cpu")["ok"]


def test_training_steps_learn():
    (first, loss), (later, later_loss) = (comparisons.training_steps(False, n) for n in (1, 30))
    assert later_loss < loss
    assert all((first[key] != later[key]).any() for key in first)


@pytest.mark.parametrize("minutes", ["0", "-1", "0.5", "nan"])
def test_a_time_that_leaves_all_parts_out_is_an_error(gpu_check, minutes, capsys):
    with pytest.raises(SystemExit) as ended:
        gpu_check.main(["--device", "cpu", "--minutes", minutes])
    assert ended.value.code == 2
    assert f"--minutes {minutes} leaves all parts out: give 1 or more" in capsys.readouterr().err
