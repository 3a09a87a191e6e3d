"""Puts `lib` and the `caffe` package at the head of sys.path, so that tools run from any folder."""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
for folder in (ROOT / "lib", ROOT / "caffe-fast-rcnn" / "python"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
