#!/usr/bin/env bash
# Trains RPN and R-FCN together with online hard example mining (on the rois with the largest
# losses), then tests.
#
#   ./experiments/scripts/rfcn_end2end_ohem.sh GPU NET DATASET [options] [--set KEY VALUE ...]
#
#   GPU      number of the GPU, cpu, or auto: a GPU if PyTorch can use one, else the CPU
#   NET      ResNet-50 or ResNet-101
#   DATASET  pascal_voc (2007 and 2012 together), coco (trains on train, tests on val), the name of
#            a card (data/cards/NAME.yml), the path of a card (.yml), or a folder of annotated
#            pictures in any known format (data/README.md)
#
# Options: --iters, --epochs, --lr, --steps, --rand and --resume are for the training alone;
# --num_dets, --det_thresh, --comp and --vis are for the test alone; all others are for both. --set
# must come last.
# Initial weights: data/imagenet_models/NET-model.caffemodel, or the file named by $WEIGHTS. What is
# printed is kept in experiments/logs, or in the folder named by $LOGS.
#
#   ./experiments/scripts/rfcn_end2end_ohem.sh 0 ResNet-50 pascal_voc
#   ./experiments/scripts/rfcn_end2end_ohem.sh 0 ResNet-101 my/card.yml --set EXP_DIR foo

METHOD=rfcn_end2end_ohem
VOC=voc_0712
COCO_TEST=coco_2014_val
MODEL_SUFFIX=-model
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
start "$@"
TEST_ARGS=(--num_dets 400 --det_thresh=-inf ${TEST_ARGS[@]+"${TEST_ARGS[@]}"})
MODEL=models/$FOLDER/$NET/rfcn_end2end

train "$MODEL/solver_ohem.prototxt"
test_final "$MODEL/test_agnostic.prototxt"
