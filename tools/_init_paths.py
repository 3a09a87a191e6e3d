"""Puts the engine and the detector on sys.path, so that the tools run from a plain checkout."""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

for folder in (str(ROOT / "lib"), str(ROOT / "caffe-fast-rcnn" / "python")):
    if folder not in sys.path:
        sys.path.insert(0, folder)
