"""Original names of py-faster-rcnn's helpers; the code is in faster_rcnn."""
