#!/usr/bin/env bash
# The experiments of the Fast R-CNN paper under their old names. Each script is a link to one file.
#
#   ./experiments/scripts/EXPERIMENT_NET.sh GPU [options] [--set KEY VALUE ...]
#
#   EXPERIMENT  default, a variant of fast_rcnn.sh (whose usage explains the options), or all: all of
#               these one after the other
#   NET         caffenet, vgg_cnn_m_1024, vgg16
#
# Experiments that start from a trained net take the net that default_NET.sh has trained (piecewise:
# no_bbox_reg_NET.sh), unless $WEIGHTS names another one.

set -euo pipefail
SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
NAME=$(basename "$0" .sh)

case $NAME in
  *_caffenet) NET=CaffeNet ;;
  *_vgg_cnn_m_1024) NET=VGG_CNN_M_1024 ;;
  *_vgg16) NET=VGG16 ;;
  *) NET= ;;
esac
if [ -z "$NET" ] || [ $# -lt 1 ]; then
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
  exit 1
fi
LOWER=$(tr '[:upper:]' '[:lower:]' <<< "$NET")
EXPERIMENT=${NAME%"_$LOWER"}
GPU=$1
shift

run() {
  "$SCRIPTS/fast_rcnn.sh" "$GPU" "$NET" pascal_voc "$@"
}

if [ "$EXPERIMENT" = all ]; then
  for each in default fc_only multiscale multitask_no_bbox_reg no_bbox_reg piecewise svd svm; do
    [ ! -e "$SCRIPTS/${each}_$LOWER.sh" ] || "$SCRIPTS/${each}_$LOWER.sh" "$GPU" "$@"
  done
  exit
fi

TRAINED=output/default/voc_2007_trainval/${LOWER}_fast_rcnn_iter_40000.caffemodel
NO_BOXES=output/no_bbox_reg/voc_2007_trainval/${LOWER}_fast_rcnn_no_bbox_reg_iter_40000.caffemodel
case $EXPERIMENT in
  default) run "$@" ;;
  piecewise) WEIGHTS=${WEIGHTS:-$NO_BOXES} run --variant piecewise "$@" ;;
  multitask_no_bbox_reg | svd | svm)
    WEIGHTS=${WEIGHTS:-$TRAINED} run --variant "$EXPERIMENT" "$@" ;;
  *) run --variant "$EXPERIMENT" "$@" ;;
esac
