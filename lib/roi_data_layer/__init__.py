"""The layers that feed training nets; what they hand out is made in faster_rcnn.minibatches."""
