#!/usr/bin/env bash
# Downloads the Fast R-CNN nets that the authors of OHEM trained, to data/fast_rcnn_ohem_models/.
# No arguments. An archive that is already in data/ is used.

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
fetch fast_rcnn_ohem_models.tgz cbfd5b7ed5ec4d5cb838701cbf1f3ccb \
  "http://graphics.cs.cmu.edu/projects/ohem/data/fast_rcnn_ohem_models.tgz"
