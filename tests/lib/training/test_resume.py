"""An interrupted training continues exactly; on nets of a few parameters and four small images."""
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from small_training import Killed, killed_after, seed

import caffe
from caffe.files import weights
from faster_rcnn.runs.interrupts import Interrupted, SignalWatch
from faster_rcnn.runs.random_state import generator_state, restore_generators
from faster_rcnn.training import checkpoint
from faster_rcnn.training.checkpoint import CheckpointError
from faster_rcnn.training.solver_wrapper import SolverWrapper, TrainingError
from faster_rcnn.training.train_net import train_net


@pytest.mark.parametrize("kind", ["fast_rcnn", "rpn"])
@pytest.mark.parametrize("threads", [0, 2])
def test_resumed_training_equals_an_uninterrupted_one(make, settings, roidb, tmp_path, monkeypatch,
                                                      kind, threads):
    solver = make(kind, iter_size=2 if kind == "rpn" else 1)
    with settings(kind, CHECKPOINT_ITERS=4, SNAPSHOT_ITERS=3, LOADER_THREADS=threads):
        seed()
        whole = train_net(solver, roidb, str(tmp_path / "whole"), max_iters=11)
        seed()
        killed_after(monkeypatch, 7)
        with pytest.raises(Killed):
            train_net(solver, roidb, str(tmp_path / "parts"), max_iters=11)
        np.random.seed(99)
        caffe.set_random_seed(99)
        parts = train_net(solver, roidb, str(tmp_path / "parts"), max_iters=11, resume=True)
    assert [os.path.basename(path) for path in parts] == [
        f"tiny_iter_{n}.caffemodel" for n in (3, 6, 9, 11)]
    assert sorted(os.listdir(tmp_path / "parts")) == sorted(os.listdir(tmp_path / "whole"))
    for one, other in zip(whole, parts):
        one, other = weights.read_weights(one), weights.read_weights(other)
        assert list(one) == list(other)
        for name in one:
            for a, b in zip(one[name], other[name]):
                assert np.array_equal(a, b), name


def test_training_without_a_checkpoint_starts_over(make, settings, roidb, tmp_path):
    with settings("rpn"):
        paths = train_net(make("rpn"), roidb, str(tmp_path), max_iters=2, resume=True)
    assert paths == [str(tmp_path / "tiny_iter_2.caffemodel")]


def test_training_from_the_start_keeps_the_last_checkpoint_aside(make, settings, roidb, tmp_path,
                                                                 monkeypatch):
    with settings("rpn", CHECKPOINT_ITERS=2):
        killed_after(monkeypatch, 3)
        with pytest.raises(Killed):
            train_net(make("rpn"), roidb, str(tmp_path), max_iters=9)
        (tmp_path / ".tiny_checkpoint.npz.half").write_bytes(b"what a killed process left")
        kept = (tmp_path / "tiny_checkpoint.npz").read_bytes()
        killed_after(monkeypatch, 1)
        with pytest.raises(Killed):
            train_net(make("rpn"), roidb, str(tmp_path), max_iters=9)
    assert [path.name for path in tmp_path.iterdir() if "checkpoint" in path.name] == [
        "tiny_checkpoint.npz.before"]
    assert (tmp_path / "tiny_checkpoint.npz.before").read_bytes() == kept


def test_checkpoint_of_other_images_is_refused(make, settings, roidb, tmp_path):
    solver = make("rpn")
    with settings("rpn"):
        SolverWrapper(solver, roidb, str(tmp_path)).write_checkpoint()
        with pytest.raises(ValueError, match="tiny_checkpoint.npz belongs to .* other images"):
            train_net(solver, roidb[:3], str(tmp_path), max_iters=2, resume=True)


@pytest.fixture
def wrapper(make, settings, roidb, tmp_path):
    """A training of the net `rpn` at iteration 0."""
    with settings("rpn"):
        yield SolverWrapper(make("rpn"), roidb, str(tmp_path))


def spoiled(content):
    """Damaged versions of a checkpoint: cut, empty, no checkpoint, one bit changed, extended."""
    middle = len(content) // 2
    return (content[:middle], content[:-1], b"", b"x" * 100,
            content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:])


def test_damaged_checkpoint_is_named(wrapper, tmp_path):
    wrapper.write_checkpoint()
    path = tmp_path / "tiny_checkpoint.npz"
    for damaged in spoiled(path.read_bytes()):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="tiny_checkpoint.npz is not a checkpoint"):
            wrapper.restore_checkpoint()


def test_the_checkpoint_before_stands_in_for_a_damaged_one(wrapper, tmp_path, caplog):
    wrapper.solver.step(1)
    wrapper.write_checkpoint()
    wrapper.solver.step(1)
    wrapper.write_checkpoint()
    path = tmp_path / "tiny_checkpoint.npz"
    for damaged in spoiled(path.read_bytes()):
        path.write_bytes(damaged)
        wrapper.solver.iter = 7
        assert wrapper.restore_checkpoint() and wrapper.solver.iter == 1
        assert "tiny_checkpoint.npz is not a checkpoint" in caplog.messages[-1]
    path.unlink()       # a process was killed between the two renamings
    assert wrapper.restore_checkpoint() and wrapper.solver.iter == 1


@pytest.mark.parametrize("spoil", (
    lambda saved: saved.pop("solver"), lambda saved: saved["solver"].pop("iter"),
    lambda saved: saved["data"].clear(), lambda saved: saved["files"].pop("snapshots"),
    lambda saved: saved.update(generators={"numpy": np.zeros(3)}),
    lambda saved: saved["solver"].update(iter=np.array("many")),
    lambda saved: saved["solver"].update({"param/0": np.zeros((2, 2))})))
def test_a_checkpoint_that_lacks_parts_is_named(wrapper, tmp_path, spoil):
    wrapper.write_checkpoint()
    path = str(tmp_path / "tiny_checkpoint.npz")
    saved = checkpoint.read(path)
    spoil(saved)
    checkpoint.write(path, saved)
    with pytest.raises(CheckpointError, match="is not a checkpoint of this training"):
        wrapper.restore_checkpoint()


def test_an_archive_that_unpacks_to_gigabytes_is_refused_unread(tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, zeros=np.zeros(10 ** 7, np.uint8))
    assert path.stat().st_size < 10 ** 5
    with pytest.raises(CheckpointError, match="would take 10000128 bytes, more than the file"):
        checkpoint.read(str(path))


def test_a_state_that_is_not_finite_replaces_no_checkpoint(wrapper, tmp_path):
    wrapper.write_checkpoint()
    kept = (tmp_path / "tiny_checkpoint.npz").read_bytes()
    weight = wrapper.solver.net.params["conv"][0]
    weight.data[0] = np.nan
    for write in (wrapper.write_checkpoint, wrapper.snapshot):
        with pytest.raises(TrainingError, match="weights of conv are not finite"):
            write()
    assert (tmp_path / "tiny_checkpoint.npz").read_bytes() == kept
    assert not list(tmp_path.glob("*.caffemodel"))


def test_an_exploded_loss_replaces_no_checkpoint(wrapper, tmp_path, caplog):
    wrapper.solver.step(1)
    wrapper.write_checkpoint()
    kept = (tmp_path / "tiny_checkpoint.npz").read_bytes()
    wrapper.solver.losses.add(1e5)
    wrapper.write_checkpoint()
    assert (tmp_path / "tiny_checkpoint.npz").read_bytes() == kept
    assert "the last checkpoint, which is kept: lower base_lr" in caplog.messages[-1]
    wrapper.solver.losses.add(2.0)
    wrapper.write_checkpoint()
    assert (tmp_path / "tiny_checkpoint.npz").read_bytes() != kept


@pytest.mark.parametrize("number,goes_on", ((signal.SIGTERM, False), (signal.SIGINT, False),
                                            (signal.SIGHUP, True)))
def test_signals_ask_for_a_checkpoint(make, settings, roidb, tmp_path, monkeypatch, number,
                                      goes_on):
    def train(folder, **more):
        seed()
        return train_net(make("rpn"), roidb, str(tmp_path / folder), max_iters=6, **more)

    step = caffe.SGDSolver.step

    def signalled(self, count):
        step(self, count)
        if self.iter == 3:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with settings("rpn", CHECKPOINT_ITERS=100):
        whole = train("whole")
        monkeypatch.setattr(caffe.SGDSolver, "step", signalled)
        if goes_on:
            written = []
            monkeypatch.setattr(checkpoint.Checkpoints, "write",
                                lambda self, sections: written.append(int(
                                    sections["solver"]["iter"])))
            parts = train("parts")
            assert written == [3]
        else:
            with pytest.raises(Interrupted, match="SIG(TERM|INT) at iteration 3") as stop:
                train("parts")
            assert stop.value.exit_status == 128 + number
            monkeypatch.undo()
            parts = train("parts", resume=True)
    assert signal.getsignal(number) == before
    for name, arrays in weights.read_weights(whole[-1]).items():
        for one, other in zip(arrays, weights.read_weights(parts[-1])[name]):
            assert np.array_equal(one, other), name


WRITER = """
import resource, sys
import numpy as np
from faster_rcnn.training.checkpoint import Checkpoints
checkpoints = Checkpoints(sys.argv[1])
checkpoints.write({"solver": {"iter": np.array(7)}})
resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
checkpoints.write({"solver": {"iter": np.zeros(100000)}})
"""


def test_a_checkpoint_that_cannot_be_written_is_named_and_replaces_none(tmp_path):
    path = str(tmp_path / "a_checkpoint.npz")
    done = subprocess.run([sys.executable, "-c", WRITER, path], capture_output=True, text=True,
                          timeout=120, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert f"File too large: '{path}.new'" in done.stderr
    assert os.listdir(tmp_path) == ["a_checkpoint.npz"]
    assert int(checkpoint.read(path)["solver"]["iter"]) == 7


def test_a_second_ctrl_c_ends_at_once():
    with SignalWatch() as signals, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.received() == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)


def test_checkpoint_file_keeps_names_and_arrays(tmp_path):
    sections = {"solver": {"conv/a:0": np.arange(3, dtype=np.float32), "iter": 7},
                "files": {"paths": np.array(["a", "bc"])}}
    checkpoint.write(str(tmp_path / "c.npz"), sections)
    read = checkpoint.read(str(tmp_path / "c.npz"))
    assert read["solver"]["conv/a:0"].tolist() == [0, 1, 2] and int(read["solver"]["iter"]) == 7
    assert read["files"]["paths"].tolist() == ["a", "bc"]


def test_generators_are_restored():
    seed()
    np.random.randn()                                # leaves a second normal number behind
    state = {key: np.asarray(value) for key, value in generator_state().items()}
    wanted = np.random.randn(3).tolist()
    np.random.seed(8)
    restore_generators(state)
    assert np.random.randn(3).tolist() == wanted
