"""The form of every built-in layer: a small nn.Module over tensors.

A layer type is a class with

* `__init__(param, shapes, phase)`: Caffe's LayerSetUp. `param` is the LayerParameter, `shapes` the bottom shapes;
* `forward(*bottoms)`: a tensor per top (one tensor, or a tuple), a pure function of the bottoms and of `self.blobs`, so that
  autograd finds the gradients and a run on the meta device finds the top shapes.
"""
import torch
from torch import nn

from ..errors import LayerError
from ..fillers import fill


class Module(nn.Module):
    """Base of the built-in layers.

    Class attributes a type may set:
      bottoms, tops   (least, most) number of bottoms and tops; most None: any number
      is_loss         the first top has loss weight 1 unless the prototxt says otherwise, and a missing top is named by itself
      no_gradient     bottoms (by index) that cannot receive a gradient, such as labels
      same_count      one top per bottom
    """

    type = ""
    bottoms = (1, 1)
    tops = (1, 1)
    is_loss = False
    no_gradient = ()
    same_count = False

    def __init__(self, param, shapes, phase):
        super().__init__()
        self.name = param.name
        self.param = param
        self.phase = phase
        self.blobs = nn.ParameterList()

    def add_blob(self, shape, filler=None, memory_format=torch.contiguous_format):
        """Appends a learnable blob (float32), filled as the FillerParameter says (None: zeros)."""
        data = torch.zeros(tuple(int(d) for d in shape))
        fill(data, filler)
        if data.dim() == 4:
            data = data.contiguous(memory_format=memory_format)
        self.blobs.append(nn.Parameter(data))

    def error(self, message):
        """A LayerError that names this layer."""
        return LayerError(f'layer "{self.name}" ({self.type}): {message}')

    def forward(self, *bottoms):
        raise self.error("has no forward pass")
