"""fast_rcnn.nms_wrapper: where suppression runs."""
import numpy as np
import pytest
import torch

from fast_rcnn import nms_wrapper
from faster_rcnn.settings.config import cfg_override

DETS = np.array([[0, 0, 9, 9, 0.9]], np.float32)


@pytest.fixture
def places(monkeypatch):
    """The calls, as ("cpu", None) or ("gpu", its number)."""
    seen = []
    monkeypatch.setattr(nms_wrapper, "cpu_nms", lambda dets, thresh: seen.append(("cpu", None)))
    monkeypatch.setattr(nms_wrapper, "gpu_nms",
                        lambda dets, thresh, number: seen.append(("gpu", number)))
    return seen


@pytest.mark.parametrize("device, allowed, force_cpu, place", [
    (torch.device("cpu"), True, False, ("cpu", None)),
    (torch.device("cuda", 1), True, False, ("gpu", 1)),
    (torch.device("cuda", 1), False, False, ("cpu", None)),
    (torch.device("cuda", 1), True, True, ("cpu", None))])
def test_the_gpu_is_used_in_gpu_mode_only(places, monkeypatch, device, allowed, force_cpu, place):
    monkeypatch.setattr(nms_wrapper.state, "device", lambda: device)
    with cfg_override(USE_GPU_NMS=allowed):
        nms_wrapper.nms(DETS, 0.5, force_cpu=force_cpu)
        assert places == [place]
        assert nms_wrapper.nms(DETS[:0], 0.5) == []
    assert places == [place]
