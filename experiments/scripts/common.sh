# What the training scripts of this folder share; sourced by them.
#
#   METHOD=...  source common.sh; start "$@"   then train and test with `logged`
#
# Before that a script may say which card pascal_voc stands for (VOC), which split coco is tested on
# (COCO_TEST) and how the files of its initial weights end (MODEL_SUFFIX).

set -euo pipefail
export PYTHONUNBUFFERED=1
SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# From the words of the command line sets
#   GPU NET DATASET           the first three; DATASET as a card's name or path
#   FOLDER                    models/FOLDER/NET/METHOD holds the net
#   WEIGHTS CFG LOG PYTHON    initial weights, settings, log file, the Python to use
#   TRAIN_IMDB TEST_IMDB      the data set's splits
#   TRAIN_ARGS TEST_ARGS      what is left, for the training and the test tool
# and goes to the project's folder.
start() {
  if [ $# -lt 3 ]; then
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
    exit 1
  fi
  GPU=$1 NET=$2 DATASET=$3
  require_words
  shift 3
  CALLED_FROM=$PWD
  cd "$SCRIPTS/../.."
  PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
  WEIGHTS=$(from_here "${WEIGHTS:-data/imagenet_models/$NET${MODEL_SUFFIX:-.v2}.caffemodel}")
  CFG=$(settings)
  open_log "$@"
  split_options "$@"
  find_splits
  check_test_options
}

# The training checks its options at once, and those of the test must not wait until it is done
check_test_options() {
  "$PYTHON" tools/test_net.py --parse-only --gpu "$GPU" ${TEST_ARGS[@]+"${TEST_ARGS[@]}"} || exit
}

# GPU, NET and DATASET come before all options
require_words() {
  local name
  for name in GPU NET DATASET; do
    case ${!name} in
      -*) echo "$(basename "$0"): error: ${!name} stands where the $name should be:" \
               "$(basename "$0") GPU NET DATASET [options]" >&2
        exit 2 ;;
    esac
  done
}

# A file named relative to the folder of the call is still found after the cd
from_here() {
  case $1 in
    /*) printf '%s' "$1" ;;
    *) if [ -e "$1" ]; then printf '%s' "$1"; else printf '%s' "$CALLED_FROM/$1"; fi ;;
  esac
}

# A net, or coco, may have settings of its own
settings() {
  local name
  for name in "${METHOD}_$NET" "${METHOD}_$DATASET" "$METHOD"; do
    [ ! -f "experiments/cfgs/$name.yml" ] || break
  done
  printf 'experiments/cfgs/%s.yml' "$name"
}

open_log() {
  local extra
  extra=$(IFS=_; echo "$*")
  extra=${extra//[^A-Za-z0-9._,-]/_}
  LOGS=${LOGS:-experiments/logs}
  mkdir -p "$LOGS"
  LOG=$LOGS/${METHOD}_${NET}_${extra:0:80}.txt.$(date +%Y-%m-%d_%H-%M-%S)
  echo "Logging output to $LOG"
}

# Options of the training alone, of the test alone, and of both; --set comes last
split_options() {
  TRAIN_ARGS=() TEST_ARGS=()
  while [ $# -gt 0 ]; do
    case $1 in
      --set) TRAIN_ARGS+=("$@") TEST_ARGS+=("$@"); break ;;
      --iters | --epochs | --lr | --steps) TRAIN_ARGS+=("$1" "${2-}"); shift ;;
      --resume | --rand | --iters=* | --epochs=* | --lr=* | --steps=*) TRAIN_ARGS+=("$1") ;;
      --num_dets | --det_thresh) TEST_ARGS+=("$1" "${2-}"); shift ;;
      --comp | --vis | --num_dets=* | --det_thresh=*) TEST_ARGS+=("$1") ;;
      *) TRAIN_ARGS+=("$1") TEST_ARGS+=("$1") ;;
    esac
    shift
  done
}

# COCO's splits are those of the original; a card says which of its splits are for what
find_splits() {
  local imdbs
  FOLDER=pascal_voc
  case $DATASET in
    coco) FOLDER=coco TRAIN_IMDB=coco_2014_train TEST_IMDB=${COCO_TEST:-coco_2014_minival}
      return ;;
    pascal_voc) DATASET=${VOC:-voc_2007} ;;
    *.yml | *.yaml) DATASET=$(from_here "$DATASET") ;;
    *)  # a folder, unless a card has this name
      if [ ! -f "data/cards/$DATASET.yml" ] && [ -d "$(from_here "$DATASET")" ]; then
        DATASET=$(from_here "$DATASET")
      fi ;;
  esac
  imdbs=$("$PYTHON" tools/card_splits.py "$DATASET") || exit
  TRAIN_IMDB=$(sed -n 1p <<< "$imdbs")
  TEST_IMDB=$(sed -n 2p <<< "$imdbs")
}

# Runs a tool, which writes all that it does to the log: more than it shows, and without the
# progress bar
logged() {
  FASTER_RCNN_LOG=$LOG "$PYTHON" "$@"
}

# Trains with the solver of models/FOLDER/NET/METHOD, then tests the last snapshot
train_and_test() {
  train "models/$FOLDER/$NET/$METHOD/solver.prototxt"
  test_final "models/$FOLDER/$NET/$METHOD/test.prototxt"
}

# $1: solver
train() {
  logged tools/train_net.py --gpu "$GPU" \
    --solver "$1" \
    --weights "$WEIGHTS" \
    --imdb "$TRAIN_IMDB" \
    --cfg "$CFG" \
    ${TRAIN_ARGS[@]+"${TRAIN_ARGS[@]}"}
}

# Tests the model that the log names last; $1: test net
test_final() {
  test_model "$1" "$(sed -n 's/^Final model: //p' "$LOG" | tail -n 1)"
}

# $1: test net, $2: its weights
test_model() {
  logged tools/test_net.py --gpu "$GPU" \
    --def "$1" \
    --net "$2" \
    --imdb "$TEST_IMDB" \
    --cfg "$CFG" \
    ${TEST_ARGS[@]+"${TEST_ARGS[@]}"}
  echo "Detector: $2" | tee -a "$LOG"       # the last line, below where the report is
}
