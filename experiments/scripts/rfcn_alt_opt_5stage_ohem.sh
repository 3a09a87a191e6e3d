#!/usr/bin/env bash
# Trains R-FCN by the five-stage alternating schedule, then tests it on the last RPN's proposals.
#
#   ./experiments/scripts/rfcn_alt_opt_5stage_ohem.sh GPU NET DATASET [options] [--set KEY VALUE ...]
#
#   GPU      number of the GPU, cpu, or auto: a GPU if PyTorch can use one, else the CPU
#   NET      ResNet-50 or ResNet-101
#   DATASET  pascal_voc (2007 and 2012 together), coco (trains on train, tests on val), the name of
#            a card (data/cards/NAME.yml), the path of a card (.yml), or a folder of annotated
#            pictures in any known format (data/README.md)
#
# Options: --iters, --epochs, --lr, --steps and --resume are for the training alone; --num_dets,
# --det_thresh, --comp and --vis are for the test alone; all others are for both. --set must come
# last.
# Initial weights: data/imagenet_models/NET-model.caffemodel, or the file named by $WEIGHTS. What is
# printed is kept in experiments/logs, or in the folder named by $LOGS.
#
#   ./experiments/scripts/rfcn_alt_opt_5stage_ohem.sh 0 ResNet-50 pascal_voc

METHOD=rfcn_alt_opt_5step_ohem
VOC=voc_0712
MODEL_SUFFIX=-model
COCO_TEST=coco_2014_val
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
start "$@"
[ "$DATASET" != coco ] ||
  TRAIN_ARGS=(--iters 480000 --steps 360000 ${TRAIN_ARGS[@]+"${TRAIN_ARGS[@]}"})

logged tools/train_rfcn_alt_opt_5stage.py --gpu "$GPU" \
  --net_name "$NET" \
  --weights "$WEIGHTS" \
  --imdb "$TRAIN_IMDB" \
  --imdb_test "$TEST_IMDB" \
  --cfg "$CFG" \
  ${TRAIN_ARGS[@]+"${TRAIN_ARGS[@]}"}

TEST_ARGS=(--num_dets 400 --det_thresh=-inf
           --rpn_file "$(sed -n 's/^Final RPN: //p' "$LOG" | tail -n 1)"
           ${TEST_ARGS[@]+"${TEST_ARGS[@]}"})
test_final "models/pascal_voc/$NET/$METHOD/rfcn_test.pt"
