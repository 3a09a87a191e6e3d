"""Which device to compute on where the user leaves the choice open, and with how many threads."""
import cv2
import torch

from caffe.core.errors import DeviceError


def usable_device() -> tuple[int | str, str]:
    """The number of a GPU that nets can compute on, or "cpu"; and what it is, or why.

    A GPU counts when PyTorch can compute on it; operators without CUDA kernels run there as plain
    PyTorch operations (caffe.set_mode_gpu).
    """
    if not torch.cuda.is_available():
        return "cpu", "PyTorch sees no GPU here"
    try:
        try_gpu()
    except (RuntimeError, DeviceError) as error:
        return "cpu", f"GPU 0 cannot be used: {str(error).splitlines()[0]}"
    return 0, torch.cuda.get_device_name(0)


def try_gpu() -> None:
    """Computes something on GPU 0; RuntimeError where that is not possible."""
    torch.ones(1, device="cuda:0").add_(1).cpu()


def use_one_thread() -> None:
    """For a process that was forked: the threads of PyTorch and OpenCV did not come with it, and
    waiting for them would never end.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
