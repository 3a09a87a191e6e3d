#!/usr/bin/env bash
# Downloads initial weights, <NET>.v2.caffemodel, to data/imagenet_models/ (1 GB).
# No arguments. An archive that is already in data/ is used.

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
fetch imagenet_models.tgz ed34ca912d6782edfb673a8c3a0bda6d \
  "https://dl.dropbox.com/s/gstw7122padlf0l/imagenet_models.tgz?dl=0"
