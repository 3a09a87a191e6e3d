#!/usr/bin/env bash
# Gets all detectors of PVANet 9.1 and its initial weights. No arguments.

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
get pretrained/pva9.1_pretrained_no_fc6.caffemodel \
  "https://www.dropbox.com/s/g9ly0fc0fspdfz8/pva9.1_pretrained_no_fc6.caffemodel?dl=1"
get_voc2007
get_voc_best
get pva9.1/PVA9.1_ImgNet_COCO_VOC0712plus_compressed.caffemodel \
  "https://www.dropbox.com/s/76q7pdym70ji986/PVA9.1_ImgNet_COCO_VOC0712plus_compressed.caffemodel?dl=1"
