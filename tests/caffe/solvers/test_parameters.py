"""Options of solvers that make no sense: refused with option and range before anything is built."""
import os

import pytest
from google.protobuf import text_format

import caffe
from caffe.files.atomic import partial_name
from caffe.proto import caffe_pb2

NET = """layer { name: "d" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 } } }
layer { name: "l" type: "EuclideanLoss" bottom: "x" bottom: "x" top: "l" }"""
BASE = 'base_lr: 0.1 lr_policy: "fixed" max_iter: 2'


@pytest.fixture
def solver_file(tmp_path):
    """solver_file(text): the path of a solver with this text."""
    (tmp_path / "net.prototxt").write_text(NET)

    def write(text):
        path = tmp_path / "solver.prototxt"
        path.write_text(f'net: "{tmp_path}/net.prototxt" {text}')
        return str(path)

    return write


@pytest.mark.parametrize("text, says", [
    ("iter_size: 0", "iter_size: expected 1 or more, got 0"),
    ("iter_size: -2", "iter_size: expected 1 or more, got -2"),
    ("average_loss: 0", "average_loss: expected 1 or more, got 0"),
    ("max_iter: -1", "max_iter: expected 0 or more, got -1"),
    ("display: -1", "display: expected 0 or more, got -1"),
    ("snapshot: -5", "snapshot: expected 0 or more, got -5"),
    ("test_interval: -1", "test_interval: expected 0 or more, got -1"),
    ("test_iter: 3 test_iter: -1", "test_iter: expected 0 or more, got -1"),
    ("base_lr: nan", "base_lr: expected a number of 0 or more, got nan"),
    ("base_lr: -0.1", "base_lr: expected a number of 0 or more, got -0.1"),
    ("base_lr: inf", "base_lr: expected a number of 0 or more, got inf"),
    ("weight_decay: -1e-4", "weight_decay: expected a number of 0 or more, got -0.0001"),
    ("momentum: 1.5", "momentum: expected a number from 0 to 1, got 1.5"),
    ("momentum2: nan", "momentum2: expected a number from 0 to 1, got nan"),
    ("gamma: nan", "gamma: expected a number, got nan"),
    ("power: -inf", "power: expected a number, got -inf"),
    ("clip_gradients: nan", "clip_gradients: expected a number, below 0 for none, got nan"),
    ("stepsize: -3", "stepsize: expected 0 or more, got -3"),
    ('lr_policy: "multistep" stepvalue: 5 stepvalue: 3', "stepvalue: expected ascending numbers"),
    ('lr_policy: "stepp"', 'unknown lr_policy "stepp" (did you mean "step"?)')])
@pytest.mark.parametrize("make", [caffe.SGDSolver, caffe.get_solver])
def test_refused(text, says, make, solver_file):
    file = solver_file(text)
    with pytest.raises(caffe.CaffeError) as caught:
        make(file)
    assert str(caught.value).startswith(f"{file}: ") and says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_before_the_net_is_looked_for():
    p = text_format.Parse('net: "nowhere" iter_size: 0', caffe_pb2.SolverParameter())
    with pytest.raises(caffe.CaffeError, match="solver: iter_size: expected 1 or more"):
        caffe.SGDSolver(p)


@pytest.mark.parametrize("text", [
    "", "clip_gradients: -1", "clip_gradients: 0.5", "test_interval: 0", "max_iter: 0",
    "momentum: 1", "gamma: -0.5", "base_lr: 0", 'type: "Nobody"'])
def test_taken(text, solver_file):
    assert caffe.SGDSolver(solver_file(text)).iter == 0


@pytest.mark.parametrize("text, says", [
    ('lr_policy: "step"', 'lr_policy "step" needs stepsize > 0, got none'),
    ('lr_policy: "sigmoid" stepsize: 0', 'lr_policy "sigmoid" needs stepsize > 0, got 0'),
    ('lr_policy: "poly"', 'lr_policy "poly" needs max_iter > 0, got none'),
    ('lr_policy: "plateau"', 'lr_policy "plateau" needs plateau_winsize, each > 0, got none'),
    ('lr_policy: "fixed" regularization_type: "L3"',
     'regularization_type: expected L1 or L2, got "L3"')])
def test_refused_before_the_first_iteration(text, says, solver_file):
    """As in Caffe only a training needs these."""
    solver = caffe.SGDSolver(solver_file(f"base_lr: 0.1 {text}"))
    ran = []
    solver.net.before_forward(ran.append)
    for train in (lambda: solver.step(1), solver.solve):
        with pytest.raises(caffe.CaffeError) as caught:
            train()
        assert says in str(caught.value) and not ran


def test_a_missing_policy_is_an_error_of_the_training_only(solver_file):
    solver = caffe.SGDSolver(solver_file("base_lr: 0.1 max_iter: 3"))
    with pytest.raises(caffe.CaffeError, match='unknown lr_policy ""'):
        solver.solve()
    assert solver.iter == 0


def test_no_test_passes(solver_file):
    solver = caffe.SGDSolver(solver_file(f"{BASE} test_iter: 0 test_interval: 1"))
    solver.step(2)
    assert solver.test(0) == {} and solver.iter == 2


@pytest.mark.parametrize("prefix, reason", [("none/s", "No such file or directory"),
                                            ("net.prototxt/s", "Not a directory")])
def test_the_snapshot_prefix_is_tried_before_the_first_iteration(solver_file, tmp_path, prefix,
                                                                 reason):
    text = f'{BASE} snapshot_prefix: "{tmp_path}/{prefix}" '
    with pytest.raises(caffe.CaffeError, match=f"snapshot_prefix: .*{prefix}_iter_.*: {reason}"):
        caffe.SGDSolver(solver_file(text + "snapshot: 1"))
    solver = caffe.SGDSolver(solver_file(text))     # as in Caffe, whoever asks for no snapshots
    with pytest.raises(caffe.CaffeError, match="snapshot_prefix"):
        solver.solve()                              # ... gets one after the training
    assert solver.iter == 0
    solver.param.snapshot_after_train = False
    solver.solve()
    assert solver.iter == 2


def test_trying_leaves_nothing_and_removes_what_killed_runs_left(solver_file, tmp_path):
    dead = tmp_path / partial_name("s_iter_7.caffemodel").replace(f"-{os.getpid()}-", "-99999999-")
    dead.write_bytes(b"half")
    caffe.SGDSolver(solver_file(f'{BASE} snapshot_prefix: "{tmp_path}/s" snapshot: 1'))
    assert sorted(os.listdir(tmp_path)) == ["net.prototxt", "solver.prototxt"]
