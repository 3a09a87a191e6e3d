"""Fixtures of the engine's tests."""
import numpy as np
import pytest
import torch

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=NO_GPU)])
def device(request):
    """The name of each device that the operators run on."""
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(7)
