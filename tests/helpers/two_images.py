"""Two images for the RPN's layers, and layers without a net."""
import numpy as np
import torch

import caffe

INFO = torch.tensor([[64.0, 80, 1], [48, 64, 2]])
# boxes of image 0, then of image 1
GT = torch.tensor([[10.0, 10, 29, 29, 1, 0], [40, 20, 71, 51, 2, 0], [8, 8, 39, 39, 2, 1]])
ANCHORS = "{'feat_stride': 8, 'scales': [1, 2], 'ratios': [1]}"
# nothing is drawn: more anchors and rois are allowed than there are
SETTINGS = {"IMS_PER_BATCH": 2, "RPN_BATCHSIZE": 10000, "RPN_MIN_SIZE": 4,
            "RPN_POST_NMS_TOP_N": 20, "BATCH_SIZE": 400, "FG_FRACTION": 0.5,
            "FG_THRESH": 0.5, "BG_THRESH_LO": 0.0, "BBOX_NORMALIZE_TARGETS_PRECOMPUTED": True}
NUM_BOTTOMS = {"AnchorTargetLayer": 4, "ProposalLayer": 3, "ProposalTargetLayer": 2}


def layer_of(cls, param_str, num_tops=5):
    """A layer that was set up without a net."""
    layer = cls()
    layer.name, layer.type, layer.phase = "tested", "Python", caffe.TRAIN
    layer.param_str = param_str
    layer.setup([None] * NUM_BOTTOMS[cls.__name__], [None] * num_tops)
    return layer


def rpn_outputs(dtype=torch.float32):
    """Probabilities and deltas of two images on maps of 8 x 10 cells, two anchors each."""
    rng = np.random.RandomState(4)
    prob, deltas = rng.rand(2, 4, 8, 10), 0.3 * rng.randn(2, 8, 8, 10)
    return torch.from_numpy(prob).to(dtype), torch.from_numpy(deltas).to(dtype)
