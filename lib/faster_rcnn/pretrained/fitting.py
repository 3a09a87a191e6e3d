"""Imported weights against the net that shall take them."""
import numpy as np

from faster_rcnn.pretrained.checkpoints import CheckpointError


def fit_to_net(imported, net):
    """Gives layers the bias, zero, that the net has and the checkpoint has not.

    Returns the names of the net's layers that get no weights. Raises CheckpointError where shapes
    differ, or when no layer is the same.
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
