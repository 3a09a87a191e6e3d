#!/usr/bin/env bash
# Gets PVANet 9.1 for PASCAL VOC 2012 (trained on VOC 2007 test as well). No arguments.

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
get_voc_best
