"""Imported weights fitted to the net that they are for."""
import numpy as np

import caffe
from faster_rcnn.pretrained.reading.checkpoints import CheckpointError
from faster_rcnn.pretrained.reading.imported import Imported


def fit_to_net(imported: Imported, net: caffe.Net) -> list[str]:
    """Adds biases of zero where the net has a bias and the checkpoint has none.

    Returns the names of the net's layers that get no weights. Raises CheckpointError where shapes
    differ, or when no layer has a common name.
    """
    for name, kind, arrays in imported.layers:
        blobs = net.params.get(name, ())
        if kind in ("Convolution", "InnerProduct") and len(arrays) == 1 and len(blobs) == 2:
            arrays.append(np.zeros(blobs[1].shape, np.float32))
        ours, theirs = ([tuple(blob.shape) for blob in some] for some in (blobs, arrays))
        if ours and ours != theirs:
            raise CheckpointError(f'layer "{name}": the net has blobs of shape {ours}, the '
                                  f"checkpoint {theirs}")
    names = {name for name, *_ in imported.layers}
    missing = [name for name in net.params if name not in names]
    if len(missing) == len(net.params):
        raise CheckpointError(f"no layer of the net has a name of {imported.net}'s, such as "
                              f'"{imported.first}"')
    return missing
