"""What every test leaves as it was."""
import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def usual_log() -> Iterator[None]:
    """A test may set up the log of the engine; afterwards it is as before."""
    logger = logging.getLogger("caffe")
    handlers, propagate, level = logger.handlers, logger.propagate, logger.level
    yield
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)
