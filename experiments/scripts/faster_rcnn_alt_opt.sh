#!/usr/bin/env bash
# Trains a detector by the alternating schedule, then tests it.
#
#   ./experiments/scripts/faster_rcnn_alt_opt.sh GPU NET DATASET [options] [--set KEY VALUE ...]
#
#   GPU      number of the GPU, cpu, or auto: a GPU if PyTorch can use one, else the CPU
#   NET      a folder of models/pascal_voc: ZF, VGG_CNN_M_1024, VGG16, SqueezeNet,
#            EfficientNet-Lite0, ResNet-50, Tiny
#   DATASET  pascal_voc, coco, the name of a card (data/cards/NAME.yml), the path of a card (.yml),
#            or a folder of annotated pictures in any known format (data/README.md)
#
# With coco, the nets of pascal_voc get COCO's classes and anchors of four sizes. Nobody published
# iterations for this schedule on COCO: without --iters they are those of pascal_voc.
# Options: --iters, --epochs, --lr, --steps and --resume are for the training alone; --num_dets,
# --det_thresh, --comp and --vis are for the test alone; all others are for both. --set must come
# last.
# Initial weights: data/imagenet_models/NET.v2.caffemodel, or the file named by $WEIGHTS. What is
# printed is kept in experiments/logs, or in the folder named by $LOGS.
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
