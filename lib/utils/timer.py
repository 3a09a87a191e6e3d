"""A stop-watch that knows its mean. The code is in faster_rcnn.runs.timer."""
from faster_rcnn.runs.timer import Timer  # noqa: F401
