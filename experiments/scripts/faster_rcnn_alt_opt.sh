#!/usr/bin/env bash
# Trains a detector by the alternating schedule, then tests it.
#
#   ./experiments/scripts/faster_rcnn_alt_opt.sh GPU NET DATASET [options] [--set KEY VALUE ...]
#
#   GPU      number of the GPU, cpu, or auto: a GPU where one can be used
#   NET      a folder of models/pascal_voc: ZF, VGG_CNN_M_1024, VGG16, SqueezeNet, Tiny
#   DATASET  pascal_voc, coco, the name of a card (data/cards/NAME.yml), a card's path (.yml), or a
#            folder of annotated pictures in any known format (data/README.md)
#
# For coco the nets of pascal_voc get coco's classes and four sizes of anchors. No schedule for it was
# published: without --iters the iterations are those of pascal_voc.
# Options of the schedule (--iters, --epochs, --lr, --steps, --resume) go to the training alone, those of the
# test (--num_dets, --det_thresh, --comp, --vis) to the test alone, all others to both; --set comes
# last.
# Initial weights: data/imagenet_models/NET.v2.caffemodel, or the file named by $WEIGHTS. What is
# printed is kept in experiments/logs, or the folder named by $LOGS.
#
#   ./experiments/scripts/faster_rcnn_alt_opt.sh 0 VGG16 pascal_voc \
#       --set EXP_DIR foo RNG_SEED 42 TRAIN.SCALES "[400, 500, 600, 700]"
#   ./experiments/scripts/faster_rcnn_alt_opt.sh cpu Tiny shapes --iters 400,300,400,300

METHOD=faster_rcnn_alt_opt
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
start "$@"

logged tools/train_faster_rcnn_alt_opt.py --gpu "$GPU" \
  --net_name "$NET" \
  --weights "$WEIGHTS" \
  --imdb "$TRAIN_IMDB" \
  --cfg "$CFG" \
  ${TRAIN_ARGS[@]+"${TRAIN_ARGS[@]}"}

test_final "models/pascal_voc/$NET/$METHOD/faster_rcnn_test.pt"
