#!/usr/bin/env bash
# Downloads the original's detectors for tools/demo.py, VGG16 and ZF, to data/faster_rcnn_models/ (695 MB).
# No arguments. An archive that is already in data/ is used.

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
fetch faster_rcnn_models.tgz ac116844f66aefe29587214272054668 \
  "https://dl.dropboxusercontent.com/s/o6ii098bu51d139/faster_rcnn_models.tgz?dl=0"
