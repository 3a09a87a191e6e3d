"""Layer types of CTPN (Tian et al. 2016), which reads the columns of a map as a sequence.

The forks of Z. Tian and J. Kim: transpose_layer.cpp, reverse_layer.cpp, lstm_layer_Junhyuk.cpp.
"""
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.layer_types.common.module import Module, Shapes
from caffe.layer_types.common.registry import register
from caffe.layer_types.values.recurrent import lstm_step
from caffe.proto.caffe_pb2 import LayerParameter


@register("Transpose")
class Transpose(Module):
    """The bottom with its axes in the order `dim`, which names each once."""

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.order = tuple(param.transpose_param.dim)
        if sorted(self.order) != list(range(len(shapes[0]))):
            raise self.error(f"expected dim: each of 0 .. {len(shapes[0]) - 1} once, got "
                             f"{self.order}")

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.order).contiguous()


@register("Reverse")
class Reverse(Module):
    """The bottom with the values along `axis` in reverse order."""

    keeps_shape = True

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.axis = self.axis_of(shapes[0], param.reverse_param.axis)

    def forward(self, x: Tensor) -> Tensor:
        return x.flip(self.axis)


@register("Lstm")
class Lstm(Module):
    """Long short-term memory, unrolled in time; not to be confused with Caffe's own LSTM.

    T time steps, N streams, I input values, D num_output:
    bottom[0]: x (T, N, I); or, with batch_size N in the prototxt, (T * N, ...), step by step
    bottom[1]: optional, T * N values, 0 where a sequence begins; a pass then starts from the
               last states of the pass before. Without it all streams start from zeros
    top[0]:    (T, N, D), or (T * N, D)
    params:    weight of x (4 D, I), of the hidden state (4 D, D), bias (4 D,); rows of the input,
               forget and output gate and of the candidate
    A clipping_threshold > 0 limits each entry of the gradient of the gates' inputs.
    """

    bottoms = (1, 2)
    no_gradient = (1,)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.lstm_param
        self.has_steps = len(shapes[0]) == 3 and not p.HasField("batch_size")
        self.streams, self.width, self.limit = p.batch_size, p.num_output, p.clipping_threshold
        if min(self.width, self.streams) < 1:
            raise self.error(f"expected num_output > 0 and batch_size > 0, got {self.width} and "
                             f"{self.streams}")
        values = math.prod(shapes[0][2 if self.has_steps else 1:])
        self.add_blob((4 * self.width, values), p.weight_filler)
        self.add_blob((4 * self.width, self.width), p.weight_filler)
        self.add_blob((4 * self.width,), p.bias_filler)
        self.last: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor, *begins: Tensor) -> Tensor:
        steps = x if self.has_steps else self._in_steps(x)
        going_on = self._going_on(steps, *begins)
        hidden, cell = self._first_states(steps, bool(begins))
        tops = []
        for inputs, go_on in zip(F.linear(steps, self.blobs[0], self.blobs[2]), going_on):
            gates = self._limited(inputs + F.linear(go_on * hidden, self.blobs[1]))
            cell, hidden = lstm_step(cell, gates, go_on)
            tops.append(hidden)
        if begins and not x.is_meta:
            self.last = hidden.detach(), cell.detach()
        top = torch.stack(tops)
        return top if self.has_steps else top.flatten(0, 1)

    def _in_steps(self, x: Tensor) -> Tensor:
        if len(x) % self.streams:
            raise self.error(f"expected a multiple of batch_size ({self.streams}) items, got "
                             f"{len(x)}")
        return x.reshape(-1, self.streams, math.prod(x.shape[1:]))

    def _going_on(self, steps: Tensor, begins: Tensor | None = None) -> Tensor:
        """(T, N, 1): 0 where a sequence begins, else 1."""
        shape = (*steps.shape[:2], 1)
        if begins is None:
            return steps.new_ones(shape)
        if begins.numel() != math.prod(shape):
            raise self.error(f"expected {math.prod(shape)} values that say where sequences begin, "
                             f"got shape {tuple(begins.shape)}")
        return begins.reshape(shape).ne(0).to(steps)

    def _first_states(self, steps: Tensor, continued: bool) -> list[Tensor]:
        shape = steps.shape[1], self.width
        if continued and not steps.is_meta and self.last and self.last[0].shape == shape:
            return [state.to(steps) for state in self.last]
        return [steps.new_zeros(shape)] * 2

    def _limited(self, gates: Tensor) -> Tensor:
        if self.limit > 0 and gates.requires_grad:
            gates.register_hook(lambda grad: grad.clamp(-self.limit, self.limit))
        return gates
