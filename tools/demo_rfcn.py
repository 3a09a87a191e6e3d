#!/usr/bin/env python3
"""R-FCN's demo by its old name: demo.py with the net ResNet-101, unless --net says another."""
import sys

import demo

from faster_rcnn.commands import entry
from faster_rcnn.program import detect

if __name__ == "__main__":
    sys.argv[1:1] = ["--net", "ResNet-101"]
    entry.run(demo.parse_args, detect.main)
