"""Average precision as PASCAL VOC defines it. The code is in faster_rcnn.evaluation.voc_eval."""
from faster_rcnn.evaluation.voc_eval import parse_rec, voc_ap, voc_eval  # noqa: F401
