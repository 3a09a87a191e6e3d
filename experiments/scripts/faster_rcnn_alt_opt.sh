#!/usr/bin/env bash
# Trains a detector by the alternating schedule, then tests it.
#
#   ./experiments/scripts/faster_rcnn_alt_opt.sh GPU NET DATASET [options] [--set KEY VALUE ...]
#
#   GPU      number of the GPU, or cpu
#   NET      a folder of models/pascal_voc: ZF, VGG_CNN_M_1024, VGG16, SqueezeNet, Tiny
#   DATASET  pascal_voc, the name of a card (data/cards/NAME.yml), or the path of a card (.yml)
#
# Options of the schedule (--iters, --lr, --steps, --resume) go to the training alone, those of the
# test (--num_dets, --comp, --vis) to the test alone, all others to both; --set comes last.
# Initial weights: data/imagenet_models/NET.v2.caffemodel, or the file named by $WEIGHTS. What is
# printed is kept in experiments/logs, or the folder named by $LOGS.
#
#   ./experiments/scripts/faster_rcnn_alt_opt.sh 0 VGG16 pascal_voc \
#       --set EXP_DIR foo RNG_SEED 42 TRAIN.SCALES "[400, 500, 600, 700]"
#   ./experiments/scripts/faster_rcnn_alt_opt.sh cpu Tiny shapes --iters 400,300,400,300

set -euo pipefail
export PYTHONUNBUFFERED=1

if [ $# -lt 3 ]; then
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
  exit 1
fi

GPU=$1 NET=$2 DATASET=$3
shift 3
CALLED_FROM=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}

# A file named relative to the folder of the call is still found after the cd
from_here() {
  case $1 in
    /*) printf '%s' "$1" ;;
    *) if [ -e "$1" ]; then printf '%s' "$1"; else printf '%s' "$CALLED_FROM/$1"; fi ;;
  esac
}

case $DATASET in
  pascal_voc) DATASET=voc_2007 ;;
  coco) echo "coco: not implemented for the alternating schedule" >&2; exit 2 ;;
  *.yml | *.yaml) DATASET=$(from_here "$DATASET") ;;
esac
WEIGHTS=$(from_here "${WEIGHTS:-data/imagenet_models/$NET.v2.caffemodel}")

CFG=experiments/cfgs/faster_rcnn_alt_opt_$NET.yml  # a net may have settings of its own
[ -f "$CFG" ] || CFG=experiments/cfgs/faster_rcnn_alt_opt.yml

EXTRA=$(IFS=_; echo "$*")
EXTRA=${EXTRA//[^A-Za-z0-9._,-]/_}
LOGS=${LOGS:-experiments/logs}
mkdir -p "$LOGS"
LOG=$LOGS/faster_rcnn_alt_opt_${NET}_${EXTRA:0:80}.txt.$(date +%Y-%m-%d_%H-%M-%S)
echo "Logging output to $LOG"

TRAIN_ARGS=() TEST_ARGS=()
while [ $# -gt 0 ]; do
  case $1 in
    --set) TRAIN_ARGS+=("$@") TEST_ARGS+=("$@"); break ;;
    --iters | --lr | --steps) TRAIN_ARGS+=("$1" "${2-}"); shift ;;
    --resume | --iters=* | --lr=* | --steps=*) TRAIN_ARGS+=("$1") ;;
    --num_dets) TEST_ARGS+=("$1" "${2-}"); shift ;;
    --comp | --vis | --num_dets=*) TEST_ARGS+=("$1") ;;
    *) TRAIN_ARGS+=("$1") TEST_ARGS+=("$1") ;;
  esac
  shift
done

# The card says which of its splits is for training and which for testing
IMDBS=$("$PYTHON" tools/card_splits.py "$DATASET") || exit
TRAIN_IMDB=$(sed -n 1p <<< "$IMDBS")
TEST_IMDB=$(sed -n 2p <<< "$IMDBS")

"$PYTHON" tools/train_faster_rcnn_alt_opt.py --gpu "$GPU" \
  --net_name "$NET" \
  --weights "$WEIGHTS" \
  --imdb "$TRAIN_IMDB" \
  --cfg "$CFG" \
  ${TRAIN_ARGS[@]+"${TRAIN_ARGS[@]}"} 2>&1 | tee -a "$LOG"

FINAL=$(sed -n 's/^Final model: //p' "$LOG" | tail -n 1)

"$PYTHON" tools/test_net.py --gpu "$GPU" \
  --def "models/pascal_voc/$NET/faster_rcnn_alt_opt/faster_rcnn_test.pt" \
  --net "$FINAL" \
  --imdb "$TEST_IMDB" \
  --cfg "$CFG" \
  ${TEST_ARGS[@]+"${TEST_ARGS[@]}"} 2>&1 | tee -a "$LOG"
