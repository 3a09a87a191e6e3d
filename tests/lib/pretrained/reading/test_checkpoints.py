"""Checkpoints are read as tensors alone; whatever else they hold is refused in a line."""
import argparse
import datetime
import os
import pathlib
import re
import zipfile

import numpy as np
import pytest
import torch

from faster_rcnn.pretrained.reading import checkpoints
from faster_rcnn.pretrained.reading.checkpoints import CheckpointError, read_checkpoint
from faster_rcnn.pretrained.reading.imported import Tensors


def saved(path, content, **options):
    torch.save(content, path, **options)
    return path


# the end of a zip archive that says that it is the second of two
SEVERAL_DISKS = (b"PK\x06\x07" + bytes(4) + bytes(8) + b"\2\0\0\0"
                 + b"PK\x05\x06" + b"\1\0" + bytes(16))


class Gadget:
    def __reduce__(self):
        return eval, ("1 + 1",)


def test_forms_of_checkpoints(tmp_path):
    tensors = {"module.a": torch.ones(2, dtype=torch.float16)}
    for name, content, options in (
            ("new", tensors, {}), ("old", tensors, {"_use_new_zipfile_serialization": False}),
            ("wrapped", {"model": tensors, "config": {"caffe_pretrain": True}, "epoch": 3}, {})):
        read, config = read_checkpoint(saved(tmp_path / name, content, **options))
        assert list(read) == ["a"] and read["a"].tolist() == [1, 1]
        assert config == ({"caffe_pretrain": True} if name == "wrapped" else {})


@pytest.mark.parametrize("write, says", [
    (lambda path: saved(path, {"a": Gadget()}), "nothing else is read"),
    (lambda path: saved(path, [torch.ones(1)]), "holds a list, not named tensors"),
    (lambda path: saved(path, {"a": 1}), "holds no named tensors"),
    (lambda path: path.write_bytes(b""), "not readable|not a checkpoint"),
    (lambda path: path.write_bytes(b"\x80\x02garbage"), "not a checkpoint"),
    (lambda path: path.write_bytes(SEVERAL_DISKS), "not readable|not a checkpoint"),
    (lambda path: path.write_bytes(b"\xff" * 8 + b"{}"), "not readable as safetensors"),
])
def test_refused_files(tmp_path, write, says):
    write(tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=says) as refusal:
        read_checkpoint(tmp_path / "w.pth")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [
    {"model_state_dict": {"a": torch.ones(2)}, "optimizer_state_dict": {}},
    {"net": {"state_dict": {"module._orig_mod.a": torch.ones(2)}}},
    {"state_dict": {"model.a": torch.ones(2)}, "epoch": 3}, {"_orig_mod.a": torch.ones(2)}])
def test_wrappers_and_what_stands_before_names(tmp_path, content):
    read, _ = read_checkpoint(saved(tmp_path / "w.pth", content))
    assert list(read) == ["a"] and read["a"].tolist() == [1, 1]


def test_a_wrapper_in_itself(tmp_path):
    content = {}
    content["model"] = content
    with pytest.raises(CheckpointError, match="no named tensors"):
        read_checkpoint(saved(tmp_path / "w.pth", content))


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_what_programs_save_beside_the_tensors_is_left_out(tmp_path, options):
    """As simple-faster-rcnn-pytorch's best mean AP, a number of numpy."""
    beside = {"best": np.float64(0.7), "epoch": np.int64(3), "curve": np.zeros((2, 3)),
              "args": argparse.Namespace(lr=0.1), "to": pathlib.PosixPath("/x"),
              "when": datetime.datetime.now()}
    read, _ = read_checkpoint(saved(tmp_path / "w.pth", {"model": {"a": torch.ones(2)}, **beside},
                                    **options))
    assert list(read) == ["a"]


@pytest.mark.parametrize("tensor", [
    torch.eye(3).to_sparse(), torch.ones(2, dtype=torch.complex64), torch.ones(2, device="meta"),
    torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)])
def test_tensors_that_are_no_plain_arrays(tmp_path, tensor):
    with pytest.raises(CheckpointError, match='the tensor "a" is no plain array'):
        read_checkpoint(saved(tmp_path / "w.pth", {"a": tensor}))


class Code:
    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("name, content, words", [
    ("w.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "Git LFS"),
    ("w.pth", b"\n<!DOCTYPE html><html><body>404</body>", "is a web page"),
    ("w.safetensors", b"<html>", "is a web page"), ("w.pth", b"", "not readable"),
    ("w.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{" + b"a" * 50, "header too large")])
def test_downloads_that_failed_are_named(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{name}: .*{words}") as caught:
        read_checkpoint(str(path))
    assert "\n" not in str(caught.value)


def test_code_in_a_checkpoint_is_named_without_advice_to_run_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value, named in ((Code(), "posix.system"), (torch.nn.Linear(2, 2), "Linear")):
        torch.save({"model": value}, tmp_path / "w.pth")
        with pytest.raises(CheckpointError, match=rf"w\.pth: .* it names .*{named}") as caught:
            read_checkpoint(str(tmp_path / "w.pth"))
        assert not re.search("weights_only|trust|load failed|option", str(caught.value))
    assert not (tmp_path / "ran").exists()


def test_tensors_larger_than_their_values_are_refused(tmp_path):
    torch.save({"w": torch.zeros(1).expand(10 ** 12)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r'"w" has the shape \(1000000000000,\), but fewer'):
        read_checkpoint(str(tmp_path / "w.pth"))


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "FREE_BYTES", 1 << 20)
    with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(4 << 20))
    with pytest.raises(CheckpointError, match="unpacks to 4194304 bytes; PyTorch does not"):
        read_checkpoint(str(tmp_path / "w.pth"))


def test_a_checkpoint_that_is_no_file_is_named(tmp_path):
    os.mkfifo(tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="is not a file but a pipe"):
        read_checkpoint(str(tmp_path / "w.pth"))


def test_arrays_of_numpy(tmp_path):
    np.savez(tmp_path / "w.npz", a=np.ones((2, 3), np.float32), step=np.int64(4))
    tensors, options = read_checkpoint(str(tmp_path / "w.npz"))
    assert list(tensors) == ["a"] and tensors["a"].shape == (2, 3) and options == {}


@pytest.mark.parametrize("write", [
    lambda path: np.savez(path, a=np.array([Gadget()], object)),
    lambda path: path.write_bytes(b"PK damaged")])
def test_arrays_of_numpy_that_are_none(tmp_path, write):
    write(tmp_path / "w.npz")
    with pytest.raises(CheckpointError, match="not readable as arrays of numpy") as refusal:
        read_checkpoint(str(tmp_path / "w.npz"))
    assert "\n" not in str(refusal.value)


def test_names_change_by_the_first_rule_that_fits():
    tensors = Tensors({name: torch.ones(1) for name in ("a.b.c", "x.a.b", "a.d")})
    tensors.rename((r"a\.b", "first"), (r"a\.", "second."))
    tensors.drop("x")
    assert tensors.take("first.c") == 1 and tensors.take("second.d") == 1
    tensors.finish()
