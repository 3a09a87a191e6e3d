"""Puts the engine and the detector on sys.path, so that the tools run from a plain checkout."""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

for folder in (os.path.join(ROOT, "lib"), os.path.join(ROOT, "caffe-fast-rcnn", "python")):
    if folder not in sys.path:
        sys.path.insert(0, folder)
