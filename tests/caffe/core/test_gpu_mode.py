"""What caffe.set_mode_gpu demands and decides; without a GPU PyTorch is made to see one."""
import os

import pytest
import torch

import caffe
from caffe.core import state


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """Leaves the mode and PyTorch's settings as they were."""
    monkeypatch.setattr(state, "_state", dict(state._state, gpu=False, device_id=0, tf32=False))
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture
def one_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(state, "has_cuda_kernels", lambda: True)


def tf32():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(caffe.errors.DeviceError, match="GPU 0 was asked for, but PyTorch sees 0"):
        caffe.set_mode_gpu()
    assert state.device().type == "cpu"


def test_without_cuda_kernels_the_plain_ones_take_their_place(one_gpu, monkeypatch, caplog):
    from caffe.operators import registration
    monkeypatch.setattr(state, "has_cuda_kernels", lambda: False)
    monkeypatch.setattr(registration, "why_no_cuda_kernels", lambda: "nvcc is not in PATH")
    monkeypatch.setattr(registration, "_libraries", [])
    lent = []
    monkeypatch.setattr(registration.plain, "lend_to_cuda", lambda: lent.append(1))
    caffe.set_mode_gpu()
    assert state.device().type == "cuda" and lent == [1]
    assert caplog.messages == [
        "the operators have no CUDA kernels (nvcc is not in PATH): plain PyTorch operations take "
        "their place on the GPU, which are slower; put that right and run `make`"]


def test_whether_there_are_cuda_kernels():
    from caffe.operators import build, registration
    assert registration.are_compiled()
    expected = build.build() == build.library(cuda=True).path
    assert registration.has_cuda_kernels() == expected
    assert registration.why_no_cuda_kernels()


def test_tf32_is_off_unless_it_is_asked_for(one_gpu):
    torch.backends.cudnn.allow_tf32 = True      # PyTorch's own choice
    caffe.set_mode_gpu()
    assert tf32() == (False, False) and state.device() == torch.device("cuda", 0)
    caffe.set_mode_gpu(tf32=True)
    assert tf32() == (True, True)
    caffe.set_mode_gpu()        # a tool's call leaves the choice as it is
    assert tf32() == (True, True)
    caffe.set_tf32(False)
    caffe.set_mode_gpu()
    assert tf32() == (False, False)


def test_deterministic(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")       # restored at the end
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    caffe.set_deterministic()
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    caffe.set_deterministic(False)
    assert not torch.are_deterministic_algorithms_enabled()
