"""How learnable blobs are filled before training (FillerParameter, caffe/filler.hpp).

Random numbers come from torch's default generator, see `caffe.set_random_seed`.
"""
import math

import torch

from caffe.core.errors import LayerError, suggest
from caffe.proto import caffe_pb2


def fill(data, filler=None):
    """Fills the tensor in place as a FillerParameter says; None leaves it as it is.

    LayerError (without the layer's name) when the filler is unknown or cannot fill this shape.
    """
    if filler is None:
        return
    if filler.type not in FILLERS:
        raise LayerError(f'unknown filler type "{filler.type}"{suggest(filler.type, FILLERS)}; '
                         f"known types: {', '.join(FILLERS)}")
    if filler.sparse != -1 and filler.type != "gaussian":
        raise LayerError(f'expected no `sparse` in a filler of type "{filler.type}", '
                         f"got {filler.sparse}")
    with torch.no_grad():
        FILLERS[filler.type](data, filler)


def fan_in(shape):
    """Inputs of one output unit: count / first axis."""
    return math.prod(shape) / shape[0]


def fan_out(shape):
    """Outputs fed by one input unit: count / second axis (all of a blob with one axis)."""
    return math.prod(shape) / (shape[1] if len(shape) > 1 else 1)


def _fan(data, filler):
    if data.dim() == 0 or data.numel() == 0:
        raise LayerError(f'expected a blob with values and at least one axis for a "{filler.type}" '
                         f"filler, got shape {tuple(data.shape)}")
    inputs, outputs = fan_in(data.shape), fan_out(data.shape)
    return {caffe_pb2.FillerParameter.FAN_IN: inputs,
            caffe_pb2.FillerParameter.FAN_OUT: outputs,
            caffe_pb2.FillerParameter.AVERAGE: (inputs + outputs) / 2}[filler.variance_norm]


def _constant(data, filler):
    data.fill_(filler.value)


def _uniform(data, filler):
    if filler.min > filler.max:
        raise LayerError(f"expected min <= max in a uniform filler, got {filler.min} and "
                         f"{filler.max}")
    data.uniform_(filler.min, filler.max)


def _gaussian(data, filler):
    """Normal; with `sparse`, each value is kept with probability sparse / first axis."""
    if filler.std < 0:
        raise LayerError(f"expected std >= 0 in a gaussian filler, got {filler.std}")
    data.normal_(filler.mean, filler.std)
    if filler.sparse == -1:
        return
    if filler.sparse < -1 or data.dim() == 0 or filler.sparse > data.shape[0]:
        raise LayerError(f"expected sparse between 0 and the blob's first axis, got "
                         f"{filler.sparse} for shape {tuple(data.shape)}")
    data.mul_(torch.empty_like(data).bernoulli_(filler.sparse / data.shape[0]))


def _positive_unitball(data, filler):
    """Uniform on [0, 1], then each row (first axis) divided by its sum."""
    if data.dim() == 0 or data.numel() == 0:
        raise LayerError("expected a blob with values and at least one axis for a "
                         f'"positive_unitball" filler, got shape {tuple(data.shape)}')
    rows = data.uniform_(0, 1).view(data.shape[0], -1)
    rows.div_(rows.sum(1, keepdim=True))


def _xavier(data, filler):
    """Uniform on +-sqrt(3 / n) (Glorot and Bengio 2010)."""
    scale = math.sqrt(3 / _fan(data, filler))
    data.uniform_(-scale, scale)


def _msra(data, filler):
    """Normal with standard deviation sqrt(2 / n) (He et al. 2015)."""
    data.normal_(0, math.sqrt(2 / _fan(data, filler)))


def _bilinear(data, filler):
    """Kernels that interpolate between their inputs, for Deconvolution with kernel 2f - f % 2."""
    if data.dim() != 4 or data.shape[2] != data.shape[3]:
        raise LayerError("expected a blob with 4 axes and square kernels for a bilinear filler, "
                         f"got shape {tuple(data.shape)}")
    width = data.shape[3]
    factor = math.ceil(width / 2)
    centre = (width - 1) / (2 * factor)
    ramp = 1 - (torch.arange(width, dtype=torch.float64) / factor - centre).abs()
    data.copy_(torch.outer(ramp, ramp))


FILLERS = {"constant": _constant, "uniform": _uniform, "gaussian": _gaussian,
           "positive_unitball": _positive_unitball, "xavier": _xavier, "msra": _msra,
           "bilinear": _bilinear}
