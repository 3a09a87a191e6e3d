"""The built-in layer types, one file per family; importing this package registers them all."""
from caffe.layer_types.values import (activation, ctpn, dense, elementwise, recurrent,
                                      regularization, shape)
from caffe.layer_types.maps import convolution, normalization, pooling, resize
from caffe.layer_types.inputs import data, hdf5_data, image_data, memory_data, source, window_data
from caffe.layer_types.losses import loss, metrics, softmax
from caffe.layer_types.regions import multibox, ohem, proposal, roi, ssd

__all__ = ["activation", "convolution", "ctpn", "data", "dense", "elementwise", "hdf5_data",
           "image_data", "loss", "memory_data", "metrics", "multibox", "normalization", "ohem",
           "pooling", "proposal", "recurrent", "regularization", "resize", "roi", "shape",
           "softmax", "source", "ssd", "window_data"]
