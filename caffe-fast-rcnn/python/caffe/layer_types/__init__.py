"""The built-in layer types; importing this package registers them all.

Belongs here: a package per family, a module per group of types. `common` says what a layer type is;
the families import it, not each other, but for `regions`, which uses `losses`. May import: core,
proto, files, operators.
"""
from caffe.layer_types.inputs import data, hdf5_data, image_data, memory_data, source, window_data
from caffe.layer_types.losses import loss, metrics, softmax
from caffe.layer_types.maps import convolution, normalization, pooling, resize
from caffe.layer_types.regions import multibox, ohem, proposal, roi, ssd
from caffe.layer_types.values import activation, ctpn, dense, elementwise, recurrent, shape

__all__ = ["activation", "convolution", "ctpn", "data", "dense", "elementwise", "hdf5_data",
           "image_data", "loss", "memory_data", "metrics", "multibox", "normalization", "ohem",
           "pooling", "proposal", "recurrent", "resize", "roi", "shape", "softmax", "source", "ssd",
           "window_data"]
