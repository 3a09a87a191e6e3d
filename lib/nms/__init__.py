"""Original names of non-maximum suppression; the code is in faster_rcnn.boxes."""
