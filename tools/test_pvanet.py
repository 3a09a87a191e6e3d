#!/usr/bin/env python3
"""PVANet's demo by its old name: demo.py with its net, weights, settings and thresholds, which its
authors publish; all options of demo.py change them.
"""
import os
import sys

import demo

from faster_rcnn.commands import entry
from faster_rcnn.program import detect
from faster_rcnn.settings.config import cfg

FOLDER = os.path.join(cfg.ROOT_DIR, "models", "pvanet", "pva9.1")
OPTIONS = ["--def", os.path.join(FOLDER, "faster_rcnn_train_test_21cls.pt"),
           "--weights", os.path.join(FOLDER, "PVA9.1_ImgNet_COCO_VOC0712.caffemodel"),
           "--cfg", os.path.join(cfg.ROOT_DIR, "experiments", "cfgs", "pvanet.yml"),
           "--thresh", "0.7", "--nms", "0.4"]

if __name__ == "__main__":
    sys.argv[1:1] = OPTIONS
    entry.run(demo.parse_args, detect.main)
