#!/usr/bin/env python
"""R-FCN's demo by its old name: demo.py with the net ResNet-101, unless --net says another."""
import sys

import demo
from fast_rcnn import cli

if __name__ == "__main__":
    sys.argv[1:1] = ["--net", "ResNet-101"]
    cli.run(demo.main)
