"""Original names of py-faster-rcnn's data sets; the code is in faster_rcnn.datasets."""
