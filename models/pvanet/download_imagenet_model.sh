#!/usr/bin/env bash
# Gets the weights of PVANet's ImageNet classifier. No arguments.

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
get pretrained/pva9.1_preAct_train_iter_1900000.caffemodel \
  "https://www.dropbox.com/s/a2y0e12kmu8wjsf/pva9.1_preAct_train_iter_1900000.caffemodel?dl=1"
