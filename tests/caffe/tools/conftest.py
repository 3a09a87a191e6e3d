"""Fixtures of the command line's tests."""
import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def usual_log() -> Iterator[None]:
    """Tools set up the engine's log; afterwards it is as before."""
    logger = logging.getLogger("caffe")
    handlers, propagate, level = logger.handlers, logger.propagate, logger.level
    yield
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)
