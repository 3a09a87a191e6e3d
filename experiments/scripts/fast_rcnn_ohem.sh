#!/usr/bin/env bash
# Trains Fast R-CNN on given proposals with online hard example mining (on the rois with the largest
# losses), then tests.
#
#   ./experiments/scripts/fast_rcnn_ohem.sh GPU NET DATASET [options] [--set KEY VALUE ...]
#
#   GPU      number of the GPU, cpu, or auto: a GPU if PyTorch can use one, else the CPU
#   NET      VGG16 or VGG_CNN_M_1024
#   DATASET  pascal_voc, the name of a card (data/cards/NAME.yml), the path of a card (.yml), or a
#            folder of annotated pictures in any known format (data/README.md)
#
# Proposals come from the place that TRAIN.PROPOSAL_METHOD and TEST.PROPOSAL_METHOD (selective_search
# by default) and their PROPOSAL_FILE name (docs/settings.md).
# Options: --iters, --epochs, --lr, --steps, --rand and --resume are for the training alone;
# --num_dets, --det_thresh, --comp and --vis are for the test alone; all others are for both. --set
# must come last.
# Initial weights: data/imagenet_models/NET.v2.caffemodel, or the file named by $WEIGHTS. What is
# printed is kept in experiments/logs, or in the folder named by $LOGS.
#
#   ./experiments/scripts/fast_rcnn_ohem.sh 0 VGG16 pascal_voc
#   ./experiments/scripts/fast_rcnn_ohem.sh 0 VGG16 voc_0712 --iters 80000

METHOD=fast_rcnn_ohem
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
start "$@"
TEST_ARGS=(--num_dets 2000 --det_thresh 0.00001 ${TEST_ARGS[@]+"${TEST_ARGS[@]}"})
train "models/$FOLDER/$NET/$METHOD/solver.prototxt"
test_final "models/$FOLDER/$NET/fast_rcnn/test.prototxt"
