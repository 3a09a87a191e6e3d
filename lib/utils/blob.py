"""Images as network input. The code is in faster_rcnn.images.blob."""
from faster_rcnn.images.blob import im_list_to_blob, prep_im_for_blob  # noqa: F401
