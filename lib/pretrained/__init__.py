"""Weights of other programs' nets, under the layer names of the published Caffe nets."""
