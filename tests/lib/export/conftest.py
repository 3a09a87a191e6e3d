"""A made detector of the kind that a test asks for."""
import numpy as np
import pytest
from made_detectors import made_detector, settings


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def detector(rng, request, tmp_path):
    """made_detectors.made_detector of request.param."""
    with settings(request.param):
        yield made_detector(request.param, rng, str(tmp_path))
