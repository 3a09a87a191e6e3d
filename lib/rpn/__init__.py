"""The layers of the region proposal network that prototxts name; what they compute is in
faster_rcnn.anchors."""
