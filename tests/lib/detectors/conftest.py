"""A small detector that was described, for all tests of a file."""
import pytest
from small_detector import write_detector

from faster_rcnn import Detector


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_detector(tmp_path_factory.mktemp("detector"))


@pytest.fixture(scope="module")
def detector(weights):
    return Detector(weights, device="cpu", threshold=0.05)
