"""Settings of the tests that detect."""
import pytest

from faster_rcnn.settings.config import cfg_override


@pytest.fixture
def small_scale(tmp_path):
    """A net with an RPN, pictures at 60 pixels, results in tmp_path."""
    with cfg_override(ROOT_DIR=str(tmp_path),
                      TEST={"SCALES": (60,), "MAX_SIZE": 1000, "HAS_RPN": True}):
        yield
