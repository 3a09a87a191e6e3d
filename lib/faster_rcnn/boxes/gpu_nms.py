"""Non-maximum suppression on a GPU."""
import numpy as np
import torch

from caffe.operators import ops


def gpu_nms(dets, thresh, device_id=0):
    """Rows of dets (N, 5), x1, y1, x2, y2, score, that stay: a list in falling order of score."""
    device = torch.device("cuda", device_id)
    return ops.nms(torch.as_tensor(np.asarray(dets, np.float32), device=device), thresh).tolist()
