"""What training adds to a roidb. The code is in faster_rcnn.minibatches.roidb."""
from faster_rcnn.minibatches.roidb import add_bbox_regression_targets, prepare_roidb  # noqa: F401
