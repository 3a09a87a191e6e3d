"""The built-in layer types, one file per family; importing this package registers them all."""
from . import (
    activation,
    convolution,
    dense,
    elementwise,
    loss,
    metrics,
    multibox,
    normalization,
    ohem,
    pooling,
    proposal,
    recurrent,
    regularization,
    resize,
    roi,
    shape,
    softmax,
    source,
    ssd,
)

__all__ = ["activation", "convolution", "dense", "elementwise", "loss", "metrics", "multibox",
           "normalization", "ohem", "pooling", "proposal", "recurrent", "regularization", "resize",
           "roi", "shape", "softmax", "source", "ssd"]
