#!/usr/bin/env bash
# Gets selective search boxes of VOC 2007 and 2012
# (selective_search_data/, 0.5 GB). No arguments; an archive that is already in data/ is used.

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
fetch selective_search_data.tgz 7078c1db87a7851b31966b96774cd9b9 \
  "https://dl.dropboxusercontent.com/s/orrt7o6bp6ae0tc/selective_search_data.tgz?dl=0"
