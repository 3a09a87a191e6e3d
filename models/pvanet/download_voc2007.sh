#!/usr/bin/env bash
# Gets PVANet 9.1 for PASCAL VOC 2007, the weights of tools/test_pvanet.py. No arguments.

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
get_voc2007
