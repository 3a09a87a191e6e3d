#!/usr/bin/env bash
# The same as fast_rcnn_ohem.sh, but trains on VOC 2007 and 2012 together, for 80,000 iterations, and
# tests on VOC 2007.
#
#   ./experiments/scripts/fast_rcnn_ohem_07tv12tv.sh GPU NET pascal_voc [options] [--set KEY VALUE ...]

METHOD=fast_rcnn_ohem
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
if [ "${3-pascal_voc}" != pascal_voc ]; then
  echo "fast_rcnn_ohem_07tv12tv.sh: error: the data set is pascal_voc; for \"$3\" there is" \
    "fast_rcnn_ohem.sh" >&2
  exit 2
fi
start "$@"
TRAIN_IMDB=voc_2007_trainval+voc_2012_trainval
TRAIN_ARGS=(--iters 80000 --steps 30000 ${TRAIN_ARGS[@]+"${TRAIN_ARGS[@]}"})
TEST_ARGS=(--num_dets 2000 --det_thresh 0.00001 ${TEST_ARGS[@]+"${TEST_ARGS[@]}"})
train "models/$FOLDER/$NET/$METHOD/solver.prototxt"
test_final "models/$FOLDER/$NET/fast_rcnn/test.prototxt"
