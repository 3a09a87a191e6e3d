#!/usr/bin/env bash
# Gets Fast R-CNN trained on hard examples (OHEM)
# (fast_rcnn_ohem_models/, its authors' nets). No arguments; an archive that is already in data/ is used.

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
fetch fast_rcnn_ohem_models.tgz cbfd5b7ed5ec4d5cb838701cbf1f3ccb \
  "http://graphics.cs.cmu.edu/projects/ohem/data/fast_rcnn_ohem_models.tgz"
