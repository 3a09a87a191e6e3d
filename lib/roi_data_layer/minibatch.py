"""Minibatches from entries of a roidb. The code is in faster_rcnn.minibatches.minibatch."""
from faster_rcnn.minibatches.minibatch import get_minibatch  # noqa: F401
from roi_data_layer.original_names import image_blob as _get_image_blob  # noqa: F401
from roi_data_layer.original_names import project_im_rois as _project_im_rois  # noqa: F401
from roi_data_layer.original_names import sample_rois as _sample_rois  # noqa: F401
from rpn.original_names import bbox_regression_labels as _get_bbox_regression_labels  # noqa: F401
