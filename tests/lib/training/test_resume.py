"""An interrupted training continues exactly; on nets of a few parameters and four small images."""
import os

import numpy as np
import pytest
from small_training import Killed, killed_after, seed

import caffe
from caffe.files import weights
from faster_rcnn.training import checkpoint
from faster_rcnn.training.solver_wrapper import SolverWrapper, train_net


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


def test_training_from_the_start_forgets_the_last_checkpoint(make, settings, roidb, tmp_path,
                                                             monkeypatch):
    with settings("rpn", CHECKPOINT_ITERS=2):
        killed_after(monkeypatch, 3)
        with pytest.raises(Killed):
            train_net(make("rpn"), roidb, str(tmp_path), max_iters=9)
        (tmp_path / ".tiny_checkpoint.npz.half").write_bytes(b"what a killed process left")
        assert (tmp_path / "tiny_checkpoint.npz").exists()
        killed_after(monkeypatch, 1)
        with pytest.raises(Killed):
            train_net(make("rpn"), roidb, str(tmp_path), max_iters=9)
    assert not [path for path in tmp_path.iterdir() if "checkpoint" in path.name]


def test_checkpoint_of_other_images_is_refused(make, settings, roidb, tmp_path):
    solver = make("rpn")
    with settings("rpn"):
        SolverWrapper(solver, roidb, str(tmp_path)).write_checkpoint()
        with pytest.raises(ValueError, match="tiny_checkpoint.npz belongs to .* other images"):
            train_net(solver, roidb[:3], str(tmp_path), max_iters=2, resume=True)


def test_damaged_checkpoint_is_named(make, settings, roidb, tmp_path):
    with settings("rpn"):
        wrapper = SolverWrapper(make("rpn"), roidb, str(tmp_path))
        wrapper.write_checkpoint()
        content = (tmp_path / "tiny_checkpoint.npz").read_bytes()
        for damaged in (content[:len(content) // 2], b"", b"x" * 100):
            (tmp_path / "tiny_checkpoint.npz").write_bytes(damaged)
            with pytest.raises(ValueError, match="tiny_checkpoint.npz is not a checkpoint"):
                wrapper.restore_checkpoint()


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
    state = {key: np.asarray(value) for key, value in checkpoint.generator_state().items()}
    wanted = np.random.randn(3).tolist()
    np.random.seed(8)
    checkpoint.restore_generators(state)
    assert np.random.randn(3).tolist() == wanted
