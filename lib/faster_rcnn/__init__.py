"""The detector: Faster R-CNN and its relatives, in rooms (packages) that import only rooms
above them in the table of lib/README.md.

    from faster_rcnn import Detector

tests/test_imports.py checks the order of the rooms.
"""
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faster_rcnn.detectors.detector import Detector

__all__ = ["Detector"]


def __getattr__(name: str) -> Any:
    """Detector, imported when it is asked for: it brings PyTorch along."""
    if name == "Detector":
        from faster_rcnn.detectors.detector import Detector
        return Detector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
