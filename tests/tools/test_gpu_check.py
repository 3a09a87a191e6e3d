"""gpu_check where there is no GPU: it says so, and its comparisons find differences."""
import math

import pytest
import torch
from handful import TOOLS

from caffe.operators import ops


@pytest.fixture
def gpu_check(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    import gpu_check
    return gpu_check


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


def test_operators_that_agree(gpu_check, capsys):
    assert gpu_check.compare_operators(torch, "cpu") == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert {line.split()[0] for line in lines} == {
        "roi_pool", "roi_align", "psroi_pool", "smooth_l1_loss", "nms", "batched_nms", "soft_nms",
        "lrn_across", "lrn_within", "sgd_update_"}


def test_operators_that_differ(gpu_check, monkeypatch, capsys):
    calls = []

    def drifting(x, *args):
        calls.append(x)
        return x * (1 + 1e-3 * len(calls))
    monkeypatch.setattr(ops, "lrn_within", drifting)
    monkeypatch.setattr(ops, "nms", lambda dets, thresh: torch.arange(len(calls) + 1)
                        if calls.append(dets) is None else None)
    assert gpu_check.compare_operators(torch, "cpu") == 2
    differing = [line for line in capsys.readouterr().out.splitlines() if "DIFFERS" in line]
    assert [line.split()[0] for line in differing] == ["nms", "lrn_within"]


@pytest.mark.parametrize("of", [0, 1])      # the result, a gradient
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_is_not_finite_differs(gpu_check, monkeypatch, capsys, number, of):
    real, calls = gpu_check.run_case, []

    def run_case(torch, case, device):
        calls.append(1)
        results, seconds = real(torch, case, device)
        if len(calls) == 2:     # roi_pool, the second device
            results[of] = results[of].index_fill(0, torch.tensor(0), number)
        return results, seconds
    monkeypatch.setattr(gpu_check, "run_case", run_case)
    assert gpu_check.compare_operators(torch, "cpu") == 1
    assert "roi_pool" in next(line for line in capsys.readouterr().out.splitlines()
                              if "DIFFERS" in line)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_nan_anywhere_is_the_largest_difference(gpu_check, place):
    want, got = [torch.ones(3)] * 3, [torch.ones(3), torch.full((3,), 2.0), torch.ones(3)]
    assert gpu_check.largest_difference(got, want) == 1
    got[place] = torch.tensor([1, math.nan, 1])
    assert math.isnan(gpu_check.largest_difference(got, want))
    assert gpu_check.largest_difference([torch.ones(2)], [torch.ones(3)]) == math.inf


def test_runs_that_do_not_repeat(gpu_check, monkeypatch, capsys):
    assert gpu_check.compare_repeats(torch, "cpu") == 0
    assert not torch.are_deterministic_algorithms_enabled()
    draws = iter(range(100))
    monkeypatch.setattr(ops, "lrn_within", lambda x, *args: x * (1 + 1e-6 * next(draws)))
    assert gpu_check.compare_repeats(torch, "cpu") == 1
    assert "lrn_within: gradients or results differ" in capsys.readouterr().out


def test_training_steps_take_nan_for_a_difference(gpu_check, monkeypatch):
    same = gpu_check.training_steps(False, 1)
    weights = {key: value * (math.nan if key == ("fc", 0) else 1) for key, value in same[0].items()}
    answers = iter([same, (weights, same[1])])
    monkeypatch.setattr(gpu_check, "training_steps", lambda use_gpu: next(answers))
    assert gpu_check.compare_training(torch, use_gpu=False) == 1


def test_training_steps(gpu_check, monkeypatch):
    assert gpu_check.compare_training(torch, use_gpu=False) == 0
    same = gpu_check.training_steps(False)
    weights = {key: value * (1.001 if key == ("fc", 0) else 1) for key, value in same[0].items()}
    answers = iter([same, (weights, same[1])])
    monkeypatch.setattr(gpu_check, "training_steps", lambda use_gpu: next(answers))
    assert gpu_check.compare_training(torch, use_gpu=False) == 1


def test_training_steps_learn(gpu_check):
    (first, loss), (later, later_loss) = (gpu_check.training_steps(False, n) for n in (1, 30))
    assert later_loss < loss
    assert all((first[key] != later[key]).any() for key in first)
