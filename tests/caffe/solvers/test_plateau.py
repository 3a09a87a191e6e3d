"""The solver's policy plateau (PVANet): by hand, and from snapshot to snapshot."""
import numpy as np
import pytest
from google.protobuf import text_format
from net_texts import REGRESSION

import caffe
from caffe.files import weights
from caffe.proto import caffe_pb2
from caffe.solvers import lr_policy
from caffe.solvers.lr_policy import PolicyState

PLATEAU = 'base_lr: 0.8 gamma: 0.5 lr_policy: "plateau" plateau_winsize: 2 plateau_winsize: 3 '
STILL = PLATEAU.replace("0.8", "1e-30")     # the loss stays what it is: steps at 2 and at 5


def solver(text):
    p = text_format.Parse(text, caffe_pb2.SolverParameter())
    p.net_param.CopyFrom(caffe.prototxt.read_net_text(REGRESSION))
    made = caffe.SGDSolver(p)
    rng = np.random.default_rng(0)
    for name in made.net.inputs:
        made.net.blobs[name].data[...] = rng.normal(size=made.net.blobs[name].shape)
    return made


def test_by_hand():
    """Minima at 0, 1, 5, 6 and 10; steps 2 iterations behind the one at 1, 3 behind that at 6."""
    p = text_format.Parse(PLATEAU, caffe_pb2.SolverParameter())
    progress, rates = PolicyState(), []
    for iteration, loss in enumerate([5, 4, 4, 6, 5, 3.5, 3, 3, 3, 9, 1, 9, 9, 9, 9]):
        rate, progress = lr_policy.advance(p, iteration, progress, lambda value=loss: value)
        rates.append(rate)
    assert rates == pytest.approx([0.8] * 3 + [0.4] * 6 + [0.2] * 6)
    assert progress == (2, 1, 10)


def test_no_step_before_the_window_is_over_when_the_loss_is_no_number():
    p = text_format.Parse(PLATEAU, caffe_pb2.SolverParameter())
    rate, progress = lr_policy.advance(p, 1, PolicyState(), lambda: float("nan"))
    assert rate == pytest.approx(0.8) and progress == PolicyState()


def test_other_policies_do_not_ask_for_the_loss():
    p = text_format.Parse('base_lr: 0.8 gamma: 0.5 lr_policy: "step" stepsize: 2',
                          caffe_pb2.SolverParameter())
    assert lr_policy.advance(p, 5, PolicyState(), None) == (pytest.approx(0.2), PolicyState(2))


@pytest.mark.parametrize("sizes, got", [("", "none"), ("plateau_winsize: 0", r"\[0\]")])
def test_it_needs_its_windows(sizes, got):
    with pytest.raises(caffe.CaffeError, match=f"plateau_winsize, each > 0, got {got}"):
        solver(f'base_lr: 1 lr_policy: "plateau" {sizes}').step(1)


def test_the_averaged_loss_counts():
    """average_loss 2: the minimum is one of means of two losses."""
    trained = solver(STILL + "average_loss: 2 ")
    target = trained.net.blobs["target"].data
    out, seen = [], []
    for offset in (3, 0, 1):
        target[...] = offset
        trained.step(1)
        out.append(trained.last_loss)
        seen.append(float(trained.state_dict()["minimum_loss"]))
    means = [out[0], (out[0] + out[1]) / 2, (out[1] + out[2]) / 2]
    assert seen == pytest.approx(np.minimum.accumulate(means), rel=1e-6)


@pytest.mark.parametrize("suffix", ["", "snapshot_format: HDF5"])
def test_restoring_continues_exactly(suffix, tmp_path):
    text = f'{STILL} snapshot_prefix: "{tmp_path}/s" {suffix}'
    first, rates = solver(text), []
    for _ in range(3):
        first.step(1)
        rates.append(first.lr)
    state_file = first.snapshot()[1]
    second = solver(text)
    second.restore(state_file)
    for _ in range(4):
        first.step(1)
        second.step(1)
        assert second.lr == first.lr
        rates.append(second.lr)
    assert rates == pytest.approx([1e-30] * 2 + [5e-31] * 3 + [2.5e-31] * 2)
    assert second.state_dict()["iter_last_event"] == 5


def test_state_dicts_of_now_and_of_older_versions():
    first = solver(STILL)
    first.step(4)
    arrays = first.state_dict()
    assert (arrays["iter_last_event"], arrays["current_step"]) == (2, 1)
    assert arrays["minimum_loss"] == first.last_loss
    other = solver(PLATEAU)
    other.load_state_dict(arrays)
    assert other.state_dict()["minimum_loss"] == arrays["minimum_loss"]
    new = ("minimum_loss", "iter_last_event")
    other.load_state_dict({name: array for name, array in arrays.items() if name not in new})
    assert other.state_dict()["current_step"] == 1


@pytest.mark.parametrize("name", ["s.solverstate", "s.solverstate.h5"])
def test_only_its_state_files_have_its_fields(tmp_path, name):
    weights.write_state(tmp_path / name, 40, "w", 2, [], (0.375, 17))
    assert weights.read_state(tmp_path / name).plateau == (0.375, 17)
    weights.write_state(tmp_path / name, 40, "w", 2, [])
    assert weights.read_state(tmp_path / name).plateau is None


def test_state_files_as_pvanet_writes_them(tmp_path):
    message = caffe_pb2.SolverState(iter=4, learned_net="w", current_step=1, minimum_loss=0.375,
                                    iter_last_event=3)
    (tmp_path / "s").write_bytes(message.SerializeToString())
    assert weights.read_state(tmp_path / "s") == (4, "w", 1, [], (0.375, 3))
    weights.write_state(tmp_path / "own", 4, "w", 1, [], (0.375, 3))
    assert caffe_pb2.SolverState.FromString((tmp_path / "own").read_bytes()) == message
