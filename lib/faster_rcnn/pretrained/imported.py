"""What becomes of a checkpoint, and the tensors that it is made of."""
from dataclasses import dataclass, field

import numpy as np

from faster_rcnn.pretrained.checkpoints import CheckpointError


@dataclass
class Imported:
    """Weights under Caffe's layer names.

    net: its name; layers: [(name, type, [float32 array])] in net order; first: the name of the
    first convolution; family: of the geometry, see geometry.py; pixel_means: (3,) blue green red,
    what the net expects to be subtracted, or None where that is the program's setting; notes:
    sentences for the user.
    """

    net: str
    layers: list
    first: str
    family: str
    pixel_means: object = None
    notes: list = field(default_factory=list)


class Tensors:
    """The tensors of a checkpoint, each to be taken once; the end shows what nobody wanted."""

    _IGNORED = ".num_batches_tracked"

    def __init__(self, tensors):
        self._left = {name: tensor for name, tensor in tensors.items()
                      if not name.endswith(self._IGNORED)}

    def __contains__(self, name):
        return name in self._left

    def take(self, name):
        """A tensor as float32 array."""
        if name not in self._left:
            raise CheckpointError(f'the checkpoint has no tensor "{name}"')
        return self._left.pop(name).float().numpy()

    def pair(self, stem):
        """[weight, bias] of a layer."""
        return [self.take(f"{stem}.weight"), self.take(f"{stem}.bias")]

    def batch_norm(self, stem):
        """The blobs of the BatchNorm layer [mean, variance, (1,)] and of the Scale layer."""
        statistics = [self.take(f"{stem}.running_{name}") for name in ("mean", "var")]
        return [*statistics, np.ones(1, np.float32)], self.pair(stem)

    def finish(self):
        """CheckpointError when something is left."""
        if self._left:
            names = sorted(self._left)
            raise CheckpointError(f'the checkpoint has tensors that the net does not: "{names[0]}"'
                                  f" and {len(names) - 1} more; it is of another variant")
