"""Original names of Fast R-CNN's modules; the code is in faster_rcnn."""
