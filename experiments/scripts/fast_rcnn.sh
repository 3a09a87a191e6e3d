#!/usr/bin/env bash
# Trains Fast R-CNN on given proposals, then tests.
#
#   ./experiments/scripts/fast_rcnn.sh GPU NET DATASET [--variant V] [options] [--set KEY VALUE ...]
#
#   GPU      number of the GPU, cpu, or auto: a GPU if PyTorch can use one, else the CPU
#   NET      a folder of models/pascal_voc: ZF, VGG_CNN_M_1024, VGG16, CaffeNet, SqueezeNet,
#            EfficientNet-Lite0, Tiny; for coco: VGG16, VGG_CNN_M_1024
#   DATASET  pascal_voc, coco, the name of a card (data/cards/NAME.yml), the path of a card (.yml),
#            or a folder of annotated pictures in any known format (data/README.md)
#   V        an experiment of the paper, with experiments/cfgs/V.yml:
#            multiscale             five scales
#            no_bbox_reg            without box regression
#            piecewise              the box regressor alone, on a net of no_bbox_reg ($WEIGHTS)
#            fc_only                no convolution is trained
#            multitask_no_bbox_reg  tests a trained net ($WEIGHTS) without its box regressor
#            svm                    trains SVMs for a trained net ($WEIGHTS), tests them
#            svd                    compresses a trained net ($WEIGHTS), tests it
#
# Proposals come from the place that TRAIN.PROPOSAL_METHOD and TEST.PROPOSAL_METHOD (selective_search
# by default) and their PROPOSAL_FILE name (docs/settings.md).
# Options: --iters, --epochs, --lr, --steps, --rand and --resume are for the training alone;
# --num_dets, --det_thresh, --comp and --vis are for the test alone; all others are for both. --set
# must come last.
# Initial weights: data/imagenet_models/NET.v2.caffemodel, or the file named by $WEIGHTS. What is
# printed is kept in experiments/logs, or in the folder named by $LOGS.
#
#   ./experiments/scripts/fast_rcnn.sh 0 VGG16 pascal_voc
#   ./experiments/scripts/fast_rcnn.sh 0 CaffeNet pascal_voc --variant multiscale
#   WEIGHTS=output/default/voc_2007_trainval/vgg16_fast_rcnn_iter_40000.caffemodel \
#       ./experiments/scripts/fast_rcnn.sh 0 VGG16 pascal_voc --variant svd

METHOD=fast_rcnn
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

fail() {
  echo "fast_rcnn.sh: error: $1" >&2
  exit 2
}

VARIANT=
WORDS=()
while [ $# -gt 0 ]; do
  case $1 in
    --set) WORDS+=("$@"); break ;;
    --variant) VARIANT=${2-none}; shift ;;
    --variant=*) VARIANT=${1#*=} ;;
    *) WORDS+=("$1") ;;
  esac
  shift || true
done

case $VARIANT in
  "" | multiscale | no_bbox_reg | fc_only) ;;
  piecewise | multitask_no_bbox_reg | svm | svd)
    [ -n "${WEIGHTS-}" ] ||
      fail "--variant $VARIANT starts from a trained net; name it in the variable WEIGHTS" ;;
  *) fail "unknown variant \"$VARIANT\"; there are: multiscale, no_bbox_reg, piecewise, fc_only,\
 multitask_no_bbox_reg, svm, svd" ;;
esac

start ${WORDS[@]+"${WORDS[@]}"}
MODEL=models/$FOLDER/$NET/$METHOD
[ ! -f "experiments/cfgs/$VARIANT.yml" ] || CFG=experiments/cfgs/$VARIANT.yml

case $VARIANT in
  "" | multiscale)
    train_and_test ;;
  no_bbox_reg)
    train "$MODEL/$VARIANT/solver.prototxt"
    test_final "$MODEL/$VARIANT/test.prototxt" ;;
  piecewise | fc_only)
    train "$MODEL/$VARIANT/solver.prototxt"
    test_final "$MODEL/test.prototxt" ;;
  multitask_no_bbox_reg)
    CFG=experiments/cfgs/no_bbox_reg.yml
    test_model "$MODEL/test.prototxt" "$WEIGHTS" ;;
  svm)
    logged tools/train_svms.py --gpu "$GPU" \
      --def "$MODEL/test.prototxt" \
      --net "$WEIGHTS" \
      --imdb "$TRAIN_IMDB" \
      --cfg "$CFG" \
      ${TRAIN_ARGS[@]+"${TRAIN_ARGS[@]}"}
    test_model "$MODEL/test.prototxt" "${WEIGHTS%.caffemodel}_svm.caffemodel" ;;
  svd)
    logged tools/compress_net.py --def "$MODEL/test.prototxt" \
      --def-svd "$MODEL/compressed/test.prototxt" \
      --net "$WEIGHTS"
    test_model "$MODEL/compressed/test.prototxt" \
      "$(sed -n 's/^Wrote svd model to: //p' "$LOG" | tail -n 1)" ;;
esac
