"""Detection with a trained net. The code is in faster_rcnn.detection.detect."""
from faster_rcnn.detection.detect import (  # noqa: F401
    _get_blobs,
    _get_image_blob,
    _get_rois_blob,
    _project_im_rois,
    apply_nms,
    bbox_vote,
    im_detect,
    test_net,
    vis_detections,
)
