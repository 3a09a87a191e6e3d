"""The built-in layer types, one file per family; importing this package registers them all."""
from . import (
    activation,
    convolution,
    dense,
    elementwise,
    loss,
    metrics,
    normalization,
    pooling,
    recurrent,
    regularization,
    roi,
    shape,
    softmax,
    source,
)

__all__ = ["activation", "convolution", "dense", "elementwise", "loss", "metrics", "normalization",
           "pooling", "recurrent", "regularization", "roi", "shape", "softmax", "source"]
