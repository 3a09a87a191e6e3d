"""Solvers in several processes: their updates against one solver that sees all their batches."""
import multiprocessing
import signal

import numpy as np
import pytest
from google.protobuf import text_format
from net_texts import REGRESSION, fc, input_layer, layer

import caffe
from caffe.core import state
from caffe.proto import caffe_pb2
from caffe.solvers.signals import Action, SignalHandler
from caffe.tools import workers

BASE = 'base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 random_seed: 5 '
# "frozen" learns nothing, "shared" is used twice, the gradient of "gated" is 0 in rank 1
NET = (input_layer("data", 4, 3) + input_layer("target", 4, 3) + input_layer("gate", 4, 3)
       + fc("frozen", "data", 3, "param { lr_mult: 0 } param { lr_mult: 0 }")
       + fc("one", "frozen", 3, 'param { name: "shared" }')
       + fc("two", "one", 3, 'param { name: "shared" }')
       + layer("product", "Eltwise", "two gate", None, "eltwise_param { operation: PROD }")
       + fc("gated", "product", 3) + layer("sum", "Eltwise", "gated two")
       + layer("loss", "EuclideanLoss", "sum target"))


@pytest.fixture(autouse=True)
def one_solver():
    yield
    caffe.set_solver_count(1)
    caffe.set_solver_rank(0)


def parameters(text="", net=NET):
    p = text_format.Parse(BASE + text, caffe_pb2.SolverParameter())
    p.net_param.CopyFrom(caffe.prototxt.read_net_text(net))
    return p


def batch(rank):
    rng = np.random.default_rng(rank)
    arrays = {name: rng.normal(size=(4, 3)).astype(np.float32) for name in ("data", "target")}
    return arrays | {"gate": np.full((4, 3), rank == 0, np.float32)}


def train(serialized, uid, rank, results):
    """A process of two: three updates on its own batch; hands out its weights."""
    caffe.set_solver_count(2)
    caffe.set_solver_rank(rank)
    solver = caffe.SGDSolver(caffe_pb2.SolverParameter.FromString(serialized))
    start = solver.net.params["one"][0].data.copy()
    nccl = caffe.NCCL(solver, uid)
    nccl.bcast()
    solver.add_callback(nccl)
    solver.net.after_backward(nccl)
    for name, array in batch(rank).items():
        solver.net.blobs[name].data[...] = array
    solver.step(3)
    agreed = nccl.agree(10 + rank)
    nccl.close()
    results.put((rank, start, weights_of(solver), agreed))


def weights_of(solver):
    return {f"{name}{i}": blob.data.copy() for name, blobs in solver.net.params.items()
            for i, blob in enumerate(blobs)}


def mean_gradient_steps(count):
    """The weights after `count` updates with the mean gradient of both batches, in one process."""
    solver = caffe.SGDSolver(parameters())
    net = solver.net
    for _ in range(count):
        gradients = []
        for rank in (0, 1):
            net.clear_param_diffs()
            for name, array in batch(rank).items():
                net.blobs[name].data[...] = array
            net.forward()
            net.backward()
            gradients.append([learnable.blob.diff.copy() for learnable in net.learnables])
        for learnable, one, two in zip(net.learnables, *gradients):
            learnable.blob.diff[...] = (one + two) / 2
        solver.apply_update()
    return weights_of(solver)


def test_two_processes_take_the_mean_gradient():
    context = multiprocessing.get_context("spawn")
    results, uid = context.Queue(), caffe.NCCL.new_uid()
    processes = [context.Process(target=train, daemon=True, args=(
        parameters().SerializeToString(), uid, rank, results)) for rank in (0, 1)]
    for process in processes:
        process.start()
    (_, start, weights, agreed), (_, other_start, others, other_agreed) = sorted(
        (results.get(timeout=300) for _ in processes), key=lambda result: result[0])
    for process in processes:
        process.join()
    assert agreed == other_agreed == 10
    assert not np.array_equal(start, other_start), "each draws its own numbers"
    expected = mean_gradient_steps(3)
    assert set(weights) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(weights[name], others[name], err_msg=name)
        np.testing.assert_allclose(weights[name], array, rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_solver_alone_meets_itself():
    """One process is a group too; iter_size and the callback of layers change nothing then."""
    solver, alone = (caffe.SGDSolver(parameters("iter_size: 2", REGRESSION)) for _ in range(2))
    for net in (solver.net, alone.net):
        for name in net.inputs:
            net.blobs[name].data[...] = np.random.default_rng(0).normal(
                size=net.blobs[name].shape)
    nccl = caffe.NCCL(solver, caffe.NCCL.new_uid())
    nccl.bcast()
    solver.add_callback(nccl)
    solver.net.after_backward(nccl)
    solver.step(2)
    nccl.close()
    alone.step(2)
    for name, array in weights_of(alone).items():
        np.testing.assert_array_equal(weights_of(solver)[name], array)


def test_an_impossible_rank_is_refused():
    caffe.set_solver_rank(2)
    with pytest.raises(caffe.CaffeError, match="solver_rank from 0 to 0"):
        caffe.NCCL(caffe.SGDSolver(parameters()), caffe.NCCL.new_uid())


def test_processes_that_have_not_met_need_a_uid():
    with pytest.raises(caffe.CaffeError, match="expected a uid from caffe.NCCL.new_uid"):
        caffe.NCCL(caffe.SGDSolver(parameters()))


def test_what_pycaffe_tells_of_solvers():
    assert caffe.has_nccl() and caffe.solver_count() == 1 and caffe.solver_rank() == 0
    caffe.set_solver_count(4)
    caffe.set_solver_rank(3)
    caffe.set_multiprocess(True)
    assert (caffe.solver_count(), caffe.solver_rank()) == (4, 3)


def test_only_the_first_solver_tests_and_writes(tmp_path, caplog):
    caplog.set_level("INFO", logger="caffe")
    p = parameters(f'test_iter: 1 test_interval: 1 max_iter: 2 snapshot: 1 '
                   f'snapshot_prefix: "{tmp_path}/s"')
    caffe.set_solver_rank(1)
    caffe.SGDSolver(p).solve()
    assert not list(tmp_path.iterdir()) and "Testing net" not in caplog.text
    caffe.set_solver_rank(0)
    caffe.SGDSolver(p).solve()
    assert len(list(tmp_path.iterdir())) == 4 and "Testing net" in caplog.text


def test_the_commands_workers_train_together(tmp_path):
    """`caffe train -gpu 0,1`, with two processes on the CPU in the place of two GPUs."""
    net = NET.replace('"Input"', '"DummyData"').replace("input_param", "dummy_data_param")
    p = parameters(f'max_iter: 3 snapshot_prefix: "{tmp_path}/s"', net)
    with SignalHandler(Action.SNAPSHOT, Action.NONE) as signals:
        signal.raise_signal(signal.SIGINT)
        workers.train_together(p, [None, None], "", signals)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"s_iter_{i}.{kind}" for i in (1, 3) for kind in ("caffemodel", "solverstate")]
    assert state.solver_count() == 1
