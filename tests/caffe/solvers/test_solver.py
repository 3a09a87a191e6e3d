"""Solvers: what they write, log and restore; their numbers are judged in test_golden.py."""
import logging

import h5py
import numpy as np
import pytest
import torch
from google.protobuf import text_format
from net_texts import REGRESSION, fc, input_layer, layer

import caffe
from caffe.proto import caffe_pb2
from caffe.solvers import lr_policy, updates

BASE = 'base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.01 '
SOLVERS = [caffe.SGDSolver, caffe.NesterovSolver, caffe.AdaGradSolver, caffe.RMSPropSolver,
           caffe.AdaDeltaSolver, caffe.AdamSolver]


def parameters(text="", net=REGRESSION, base=BASE):
    p = text_format.Parse(base + text, caffe_pb2.SolverParameter())
    p.net_param.CopyFrom(caffe.prototxt.read_net_text(net))
    return p


def feed(solver, seed=0):
    """Random numbers for the inputs of the nets."""
    for net in (solver.net, *solver.test_nets):
        rng = np.random.default_rng(seed)
        for name in net.inputs:
            net.blobs[name].data[...] = rng.normal(size=net.blobs[name].shape)


def values(solver):
    return [blob.data.copy() for blobs in solver.net.params.values() for blob in blobs]


@pytest.mark.parametrize("policy, iteration, step, expected", [
    ('"fixed"', 7, 0, (0.1, 0)), ('"step" stepsize: 3', 7, 0, (0.1 * 0.25, 2)),
    ('"exp"', 3, 0, (0.1 / 8, 0)), ('"inv" power: 2', 4, 0, (0.1 / 9, 0)),
    ('"multistep" stepvalue: 5 stepvalue: 8', 5, 0, (0.05, 1)),
    ('"multistep" stepvalue: 5 stepvalue: 8', 7, 1, (0.05, 1)),
    ('"multistep" stepvalue: 5 stepvalue: 8', 8, 1, (0.025, 2)),
    ('"poly" max_iter: 10 power: 2', 5, 0, (0.025, 0)),
    ('"poly" max_iter: 10 power: 0.5', 11, 0, (0, 0)),
    ('"sigmoid" stepsize: 6', 6, 0, (0.05, 0))])
def test_learning_rates(policy, iteration, step, expected):
    p = text_format.Parse(f"base_lr: 0.1 gamma: 0.5 lr_policy: {policy}",
                          caffe_pb2.SolverParameter())
    assert lr_policy.learning_rate(p, iteration, step) == pytest.approx(expected, rel=1e-6)


def test_an_unknown_policy_names_the_nearest():
    with pytest.raises(caffe.CaffeError, match='did you mean "multistep"'):
        _ = caffe.SGDSolver(parameters('lr_policy: "multisteps"', base="base_lr: 1 ")).lr


def test_momentum_holds_the_rate():
    """w -= h with h = m h + lr (g + decay w), by hand, the rate changing in between."""
    solver = caffe.SGDSolver(parameters())
    feed(solver)
    blob = solver.net.params["out"][0]
    w, h = blob.data.copy(), 0
    for rate in (0.1, 0.01):
        solver.param.base_lr = rate
        solver.net.clear_param_diffs()
        solver.net.forward()
        solver.net.backward()
        h = 0.9 * h + rate * (blob.diff + 0.01 * w)
        w = w - h
        solver.apply_update()
        np.testing.assert_allclose(blob.data, w, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(blob.diff, h, rtol=1e-5, atol=1e-6)
    assert solver.iter == 2


def test_one_pass_and_general_updates_agree():
    p = parameters()
    weight, gradient = torch.randn(50), torch.randn(50)
    fused = [weight.clone(), [torch.randn(50)]]
    plain = [weight.clone(), [fused[1][0].clone()]]
    rule = updates.SGD(p)
    rule.fused(fused[1], fused[0], gradient, 0.1, 0.02)
    plain[0] -= rule.update(plain[1], gradient + 0.02 * weight, 0.1, 0)
    torch.testing.assert_close(fused[0], plain[0])
    torch.testing.assert_close(fused[1][0], plain[1][0])


def test_frozen_layers_are_left_alone():
    frozen = REGRESSION.replace('name: "hidden"',
                                'name: "hidden" param { lr_mult: 0 } param { lr_mult: 0 }')
    solver = caffe.SGDSolver(parameters(net=frozen))
    feed(solver)
    before = values(solver)
    solver.step(3)
    after = values(solver)
    assert [np.array_equal(a, b) for a, b in zip(before, after)] == [True, True, False, False]


@pytest.mark.parametrize("make", SOLVERS)
def test_training_lowers_the_loss(make):
    text = "" if make in (caffe.SGDSolver, caffe.NesterovSolver) else \
        "momentum: 0.9 delta: 1e-3 " if make is caffe.AdamSolver else "delta: 1e-3 "
    text += "momentum: 0.95 " if make is caffe.AdaDeltaSolver else ""
    caffe.set_random_seed(0)
    solver = make(parameters(text, base='base_lr: 0.05 lr_policy: "fixed" '))
    feed(solver)
    solver.step(1)
    first = solver.last_loss
    solver.step(60)
    assert solver.last_loss < first / 2


@pytest.mark.parametrize("make", SOLVERS)
@pytest.mark.parametrize("suffix", ["", "snapshot_format: HDF5"])
def test_restoring_continues_exactly(make, suffix, tmp_path):
    text = f'snapshot_prefix: "{tmp_path}/s" {suffix} '
    text += "" if make in (caffe.AdaGradSolver, caffe.RMSPropSolver) else "momentum: 0.9 "
    base = 'base_lr: 0.05 lr_policy: "step" stepsize: 3 gamma: 0.5 '
    solver = make(parameters(text, base=base))
    feed(solver)
    solver.step(4)
    _, state_file = solver.snapshot()
    solver.step(3)
    other = make(parameters(text, base=base))
    feed(other)
    other.restore(state_file)
    assert other.iter == 4
    other.step(3)
    for mine, theirs in zip(values(other), values(solver)):
        np.testing.assert_array_equal(mine, theirs)
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


def test_state_dict_continues_exactly():
    solver = caffe.SGDSolver(parameters("average_loss: 3 "))
    feed(solver)
    solver.step(4)
    saved = solver.state_dict()
    solver.step(2)
    other = caffe.SGDSolver(parameters("average_loss: 3 "))
    feed(other)
    other.load_state_dict(saved)
    other.step(2)
    assert (other.iter, other.smoothed_loss) == (solver.iter, solver.smoothed_loss)
    for mine, theirs in zip(values(other), values(solver)):
        np.testing.assert_array_equal(mine, theirs)


def test_a_foreign_state_is_refused(tmp_path):
    solver = caffe.SGDSolver(parameters(f'snapshot_prefix: "{tmp_path}/s"'))
    other = caffe.AdamSolver(parameters(net=REGRESSION.replace("num_output: 5", "num_output: 6")))
    before = values(other)
    with pytest.raises(caffe.CaffeError, match="does not fit the net"):
        other.load_state_dict(solver.state_dict())
    with pytest.raises(caffe.CaffeError, match="8 history blobs.*got 4"):
        other.restore(solver.snapshot()[1])
    assert all(np.array_equal(a, b) for a, b in zip(before, values(other))) and other.iter == 0


def test_losses_of_an_iteration_and_their_mean():
    solver = caffe.SGDSolver(parameters("average_loss: 2 iter_size: 2 "))
    feed(solver)
    assert np.isnan(solver.last_loss) and np.isnan(solver.smoothed_loss)
    losses = []
    for _ in range(3):
        losses.append(solver.net._forward(0, 5))
        solver.step(1)
        assert solver.last_loss == pytest.approx(losses[-1], rel=1e-6)
    assert solver.smoothed_loss == pytest.approx(np.mean(losses[-2:]), rel=1e-6)


def test_a_loss_that_is_no_number_does_not_stop_training():
    solver = caffe.SGDSolver(parameters())
    solver.net.blobs["target"].data[...] = np.nan
    solver.step(2)
    assert solver.iter == 2 and np.isnan(solver.last_loss)


def test_log_lines(caplog):
    solver = caffe.SGDSolver(parameters("display: 2 test_iter: 2 test_interval: 2 "))
    feed(solver)
    with caplog.at_level(logging.INFO, "caffe"):
        solver.step(3)
    lines = [record.message for record in caplog.records]
    loss = solver.net.blob_loss_weights
    assert loss["loss"] == 1
    assert [line.split(" = ")[0].split(" (* ")[0] for line in lines] == [
        "Iteration 0, Testing net (#0)", "    Test net output #0: loss", "Iteration 0, loss",
        "    Train net output #0: loss", "Iteration 0, lr",
        "Iteration 2, Testing net (#0)", "    Test net output #0: loss", "Iteration 2, loss",
        "    Train net output #0: loss", "Iteration 2, lr"]
    assert lines[4] == "Iteration 0, lr = 0.1" and "(* 1 = " in lines[3]


def test_test_nets_have_the_trained_weights():
    solver = caffe.SGDSolver(parameters("test_iter: 1 test_interval: 100 "))
    feed(solver)
    solver.step(2)
    loss = solver.net._forward(0, 5)
    assert solver.test(0)["loss"] == pytest.approx(loss, rel=1e-6)
    solver.test_nets[0].backward()
    assert solver.test_nets[0].params["out"][0].diff.any()


def test_solve_ends_with_a_snapshot(tmp_path):
    solver = caffe.SGDSolver(parameters(f'max_iter: 5 snapshot: 2 snapshot_prefix: "{tmp_path}/s"'))
    feed(solver)
    solver.solve()
    assert {path.name for path in tmp_path.glob("*.caffemodel")} == {
        "s_iter_2.caffemodel", "s_iter_4.caffemodel", "s_iter_5.caffemodel"}


def test_random_seed_makes_runs_repeat():
    one, two = (values(caffe.SGDSolver(parameters("random_seed: 5 "))) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two))


def test_the_file_decides_the_type(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(REGRESSION)
    path = tmp_path / "solver.prototxt"
    path.write_text('net: "net.prototxt" type: "Nesterov" base_lr: 1 lr_policy: "fixed"')
    assert type(caffe.get_solver(str(path))) is caffe.NesterovSolver
    assert type(caffe.AdamSolver(str(path))) is caffe.AdamSolver


@pytest.mark.parametrize("text, message", [
    ('type: "Adan"', 'unknown type "Adan".*did you mean'),
    ('train_net: "x"', "expected one of.*got net_param and train_net"),
    ("test_iter: 1", "test_interval > 0"),
    ('test_net: "x" test_interval: 1', "test_iter number for each of the 1 test nets, got 0"),
    ("test_iter: 1 test_interval: 1 test_state {} test_state {}", "test_state for each of the 1"),
    ('type: "RMSProp"', "RMSProp takes no momentum, got 0.9")])
def test_what_cannot_be_solved(text, message):
    with pytest.raises(caffe.CaffeError, match=message):
        caffe.get_solver(parameters(text))


def test_clipping_scales_all_gradients():
    caffe.set_random_seed(2)
    solver = caffe.SGDSolver(parameters("clip_gradients: 0.5 ",
                                        base='base_lr: 1 lr_policy: "fixed" '))
    feed(solver)
    before = values(solver)
    solver.step(1)
    moved = np.concatenate([(a - b).ravel() for a, b in zip(before, values(solver))])
    assert np.linalg.norm(moved) == pytest.approx(0.5, rel=1e-4)


def test_statistics_are_not_trained():
    text = (input_layer("data", 4, 3) + input_layer("target", 4, 2)
            + layer("norm", "BatchNorm", "data") + fc("out", "norm", 2)
            + layer("loss", "EuclideanLoss", "out target"))
    solver = caffe.SGDSolver(parameters(net=text))
    feed(solver)
    solver.step(2)
    mean, _, weight = (blob.data for blob in solver.net.params["norm"])
    data = solver.net.blobs["data"].data
    np.testing.assert_allclose(weight, 1 + 0.999, rtol=1e-6)
    np.testing.assert_allclose(mean / weight, data.mean(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["BINARYPROTO", "HDF5"])
def test_snapshot_diff_writes_the_gradients(kind, tmp_path):
    solver = caffe.SGDSolver(parameters(
        f'snapshot_prefix: "{tmp_path}/s" snapshot_format: {kind} snapshot_diff: true '))
    feed(solver)
    solver.step(1)
    model, _ = solver.snapshot()
    for name, blobs in solver.net.params.items():
        assert all(blob.diff.any() for blob in blobs)
        for blob, diff in zip(blobs, stored_diffs(model, name), strict=True):
            assert np.array_equal(diff, blob.diff)
    expected = values(solver)
    solver.net.copy_from(model)         # the gradients are no obstacle to reading
    assert all(np.array_equal(a, b) for a, b in zip(expected, values(solver), strict=True))


def stored_diffs(path, name):
    if path.endswith(".h5"):
        with h5py.File(path) as file:
            group = file["diff"][name]
            return [group[str(i)][()] for i in range(len(group))]
    with open(path, "rb") as file:
        net = caffe_pb2.NetParameter.FromString(file.read())
    blobs = next(saved.blobs for saved in net.layer if saved.name == name)
    return [caffe.io.blobproto_to_array(blob, return_diff=True) for blob in blobs]


def test_a_snapshot_has_no_gradients_by_default(tmp_path):
    solver = caffe.SGDSolver(parameters(f'snapshot_prefix: "{tmp_path}/s" '))
    with open(solver.snapshot()[0], "rb") as file:
        net = caffe_pb2.NetParameter.FromString(file.read())
    blobs = [blob for saved in net.layer for blob in saved.blobs]
    assert len(blobs) == 4 and not any(len(blob.diff) for blob in blobs)
