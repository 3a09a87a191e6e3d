#!/usr/bin/env bash
# Trains RPN and detector together (non-approximate joint training: gradients of the detector also
# flow through the box coordinates to the RPN), then tests.
#
#   ./experiments/scripts/faster_rcnn_nonapprox.sh GPU NET DATASET [options] [--set KEY VALUE ...]
#
#   GPU      number of the GPU, cpu, or auto: a GPU if PyTorch can use one, else the CPU
#   NET      a folder of models/pascal_voc: ZF, VGG_CNN_M_1024, VGG16, SqueezeNet,
#            EfficientNet-Lite0, ResNet-50, ResNet-101, MobileNet, Tiny
#   DATASET  pascal_voc, the name of a card (data/cards/NAME.yml), the path of a card (.yml), or a
#            folder of annotated pictures in any known format (data/README.md)
#
# Options: --iters, --epochs, --lr, --steps, --rand and --resume are for the training alone;
# --num_dets, --det_thresh, --comp and --vis are for the test alone; all others are for both. --set
# must come last.
# Initial weights: data/imagenet_models/NET.v2.caffemodel, or the file named by $WEIGHTS. What is
# printed is kept in experiments/logs, or in the folder named by $LOGS.
#
#   ./experiments/scripts/faster_rcnn_nonapprox.sh 0 VGG16 pascal_voc \
#       --set EXP_DIR foo RNG_SEED 42 TRAIN.SCALES "[400, 500, 600, 700]"
#   ./experiments/scripts/faster_rcnn_nonapprox.sh cpu Tiny shapes --iters 1000

METHOD=faster_rcnn_nonapprox
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
start "$@"
train_and_test
