"""Fixtures of the engine's tests."""
import numpy as np
import pytest
import torch

import caffe

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=NO_GPU)])
def device(request):
    """The name of each device that the operators run on."""
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def seeds():
    """The CPU, and the same random numbers in every run."""
    caffe.set_mode_cpu()
    caffe.set_random_seed(3)
    np.random.seed(3)


@pytest.fixture
def saved(tmp_path):
    """Writes a net with random weights; returns a function: text -> (prototxt, caffemodel)."""
    def write(text, name="net"):
        model, weights = (str(tmp_path / f"{name}.{kind}") for kind in ("prototxt", "caffemodel"))
        with open(model, "w") as file:
            file.write(text)
        caffe.Net(model, caffe.TEST).save(weights)
        return model, weights
    return write
