"""The built-in layer types; importing this package registers them all.

Belongs here: a package per family, a module per group of types. `common` says what a layer type is;
the families import it, not each other, but for `regions`, which uses `losses`. May import: core,
proto, files, operators.
"""
from caffe.layer_types.inputs import (
    annotated_data,
    data,
    hdf5_data,
    image_data,
    memory_data,
    segmentation_data,
    source,
    window_data,
)
from caffe.layer_types.losses import face, loss, metrics, softmax
from caffe.layer_types.maps import convolution, normalization, pooling, resize
from caffe.layer_types.regions import (
    cascade,
    evaluation,
    multibox,
    ohem,
    proposal,
    roi,
    ssd,
    yolo,
)
from caffe.layer_types.values import (
    activation,
    arithmetic,
    ctpn,
    dense,
    elementwise,
    recurrent,
    shape,
)

__all__ = ["activation", "annotated_data", "arithmetic", "cascade", "convolution", "ctpn", "data",
           "dense", "elementwise", "evaluation", "face", "hdf5_data", "image_data", "loss",
           "memory_data", "metrics", "multibox", "normalization", "ohem", "pooling", "proposal",
           "recurrent", "resize", "roi", "segmentation_data", "shape", "softmax", "source", "ssd",
           "window_data", "yolo"]
