"""Statistics of the RPN's targets, by hand."""
import numpy as np
import pytest
from listed_images import ListedImages, black_images

from caffe.core.errors import InputError
from faster_rcnn.anchors.statistics import anchor_target_statistics
from faster_rcnn.settings.config import cfg_override

NET = """input: "data" input_shape { dim: 1 dim: 3 dim: 32 dim: 32 }
input: "im_info" input_shape { dim: 1 dim: 3 }
layer { name: "s" type: "Convolution" bottom: "data" top: "rpn_cls_score"
  convolution_param { num_output: 2 kernel_size: 16 stride: 16 } }
layer { name: "d" type: "Convolution" bottom: "data" top: "d"
  convolution_param { num_output: 4 kernel_size: 16 stride: 16 } }
layer { name: "p" type: "Python" bottom: "rpn_cls_score" bottom: "d" bottom: "im_info" top: "rois"
  python_param { module: "rpn.proposal_layer" layer: "ProposalLayer"
                 param_str: "{'feat_stride': 16, 'scales': [1], 'ratios': [1]}" } }
"""


def statistics(tmp_path, boxes):
    """Of boxes [image][object] on images of 64 x 32; anchors are the cells of 16 x 16 pixels."""
    roidb = [{"boxes": np.array(of_image, np.float32).reshape(-1, 4),
              "gt_classes": np.ones(len(of_image), np.int32)} for of_image in boxes]
    data_set = ListedImages(black_images(tmp_path, [(64, 32)] * len(boxes)), roidb)
    (tmp_path / "net.pt").write_text(NET)
    with cfg_override(TEST={"SCALES": [32], "MAX_SIZE": 64}):
        return anchor_target_statistics(str(tmp_path / "net.pt"), data_set)


def test_means_and_deviations_over_all_images(tmp_path):
    # cell (0, 0): 2 right, as wide, half as high; cell (2, 1): 2 left, 4 down, 20 wide
    means, stds = statistics(tmp_path, [[[2, 4, 17, 11]], [[28, 20, 47, 35]]])
    both = np.array([[2 / 16, 0, 0, np.log(0.5)], [-2 / 16, 4 / 16, np.log(1.25), 0]])
    np.testing.assert_allclose(means, both.mean(0), atol=1e-6)
    np.testing.assert_allclose(stds, both.std(0), atol=1e-6)


def test_targets_that_cannot_be_normalised_are_refused(tmp_path):
    with pytest.raises(ValueError, match="listed: the RPN's targets do not vary"):
        statistics(tmp_path, [[[0, 0, 15, 15]]])
    with pytest.raises(ValueError, match="listed: no anchor overlaps"):
        statistics(tmp_path, [[]])


def test_a_layer_of_training_without_names_is_refused(tmp_path):
    first, rest = NET.split("layer", 1)
    train_only = 'layer { name: "q" type: "Python" include { phase: TRAIN } python_param {\n' \
                 '  module: "rpn.proposal_layer" layer: "ProposalLayer" param_str: "16" } }\n'
    (tmp_path / "net.pt").write_text(f"{first}{train_only}layer{rest}")
    data_set = ListedImages(black_images(tmp_path, [(64, 32)]), [])
    with pytest.raises(InputError, match='layer "q" is no mapping'):
        anchor_target_statistics(str(tmp_path / "net.pt"), data_set)
