"""LSTM, LSTMUnit and RNN, unrolled in time.

Caffe: recurrent_layer.cpp, lstm_layer.cpp, lstm_unit_layer.cpp, rnn_layer.cpp.
Letters: T time steps, N streams, I input values, D num_output.
"""
import logging
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.core.logs import mean_magnitude
from caffe.layer_types.common.given_gradients import with_gradient
from caffe.layer_types.common.module import Module, Shapes, Tops
from caffe.layer_types.common.registry import register
from caffe.proto.caffe_pb2 import LayerParameter

log = logging.getLogger("caffe")


def lstm_step(cell: Tensor, gates: Tensor, cont: Tensor) -> tuple[Tensor, Tensor]:
    """One step: the new cell and hidden state, both (N, D).

    cell: (N, D); gates: (N, 4 D), input, forget, output and candidate; cont: (N, 1), 0 where a
    sequence begins
    """
    i, f, o, g = gates.chunk(4, 1)
    kept = cont * torch.sigmoid(f.detach())
    forget = with_gradient(kept, (f, kept * (1 - kept)))  # Caffe: also where cont is no 0 or 1
    cell = forget * cell + torch.sigmoid(i) * torch.tanh(g)
    return cell, torch.sigmoid(o) * torch.tanh(cell)


@register("LSTMUnit")
class LSTMUnit(Module):
    """One time step of an LSTM.

    bottom[0]: cell (1, N, D)     bottom[1]: gate inputs (1, N, 4 D)     bottom[2]: cont (1, N)
    top[0], top[1]: the new cell and hidden state, (1, N, D)
    """

    bottoms = (3, 3)
    tops = (2, 2)
    no_gradient = (2,)

    def forward(self, cell: Tensor, gates: Tensor, cont: Tensor) -> tuple[Tensor, Tensor]:
        first, streams, width = (*cell.shape, 0, 0, 0)[:3]
        wanted = (1, streams, width), (1, streams, 4 * width), (1, streams)
        if tuple(tuple(x.shape) for x in (cell, gates, cont)) != wanted or first != 1:
            raise self.error("expected bottoms of shape (1, N, D), (1, N, 4 D) and (1, N), got "
                             f"{tuple(cell.shape)}, {tuple(gates.shape)}, {tuple(cont.shape)}")
        cell, hidden = lstm_step(cell[0], gates[0], cont[0, :, None])
        return cell[None], hidden[None]


class _Recurrent(Module):
    """What LSTM and RNN share.

    bottom[0]: x (T, N, ...)            bottom[1]: cont (T, N), 0 where a sequence begins, else 1
    then, where given: a constant input (N, ...); with expose_hidden: the first states (1, N, D)
    top[0]:    (T, N, D)                with expose_hidden: the last states (1, N, D)
    params:    weight and bias of x (G D, I), (G D,); weight of the constant input (G D, I');
               weight of the hidden state (G D, D); and what the type adds
    Without expose_hidden each forward pass goes on with the states that the last one ended with.
    As in Caffe no gradient reaches the first states or comes from the last ones. With debug_info
    the tensors that `shown` names are logged at every time step.
    """

    bottoms = (2, None)
    tops = (1, None)
    no_gradient = (1,)
    gates = 1   # G
    states = 1  # hidden state, and cell
    # (layer and blob of Caffe's unrolled net, without the step's number; place in (top, *states))
    shown: tuple[tuple[str, str, int], ...] = ()

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.recurrent_param
        self.width, self.expose, self.logs = p.num_output, p.expose_hidden, p.debug_info
        exposed = self.states if p.expose_hidden else 0
        self.has_constant = len(shapes) == 3 + exposed
        self._check_recurrent(shapes, exposed)
        rows = self.gates * self.width
        self.add_blob((rows, math.prod(shapes[0][2:])), p.weight_filler)
        self.add_blob((rows,), p.bias_filler)
        if self.has_constant:
            self.add_blob((rows, math.prod(shapes[2][1:])), p.weight_filler)
        self.add_blob((rows, self.width), p.weight_filler)
        self.last: list[Tensor] | None = None

    def _check_recurrent(self, shapes: Shapes, exposed: int) -> None:
        if self.width < 1:
            raise self.error("expected num_output > 0, got none")
        if len(shapes) not in (2 + exposed, 3 + exposed) or len(self.param.top) != 1 + exposed:
            raise self.error(f"expected {2 + exposed} or {3 + exposed} bottoms and {1 + exposed} "
                             f"top(s), got {len(shapes)} and {len(self.param.top)}")
        if len(shapes[0]) < 2 or tuple(shapes[1]) != tuple(shapes[0][:2]):
            raise self.error("expected bottoms of shape (T, N, ...) and (T, N), got "
                             f"{tuple(shapes[0])} and {tuple(shapes[1])}")

    def forward(self, x: Tensor, cont: Tensor, *others: Tensor) -> Tops:
        states = list(self._first_states(x, others[-self.states:] if self.expose else ()))
        inputs = F.linear(x.flatten(2) if x.dim() > 2 else x[..., None], *self.blobs[:2])
        if self.has_constant:
            inputs = inputs + F.linear(others[0].flatten(1), self.blobs[2])
        tops = []
        for number, (step, go_on) in enumerate(zip(inputs, cont[..., None]), 1):
            step = step + F.linear(go_on * states[0], self.blobs[2 + self.has_constant])
            top, *states = self.step(step, go_on, states)
            tops.append(top)
            if self.logs and not x.is_meta:
                for layer, blob, place in self.shown:
                    _log_step(f"{self.name}_{layer}_{number}", f"{blob}_{number}",
                             (top, *states)[place])
        if self.expose:
            return (torch.stack(tops), *(state.detach()[None] for state in states))
        if not x.is_meta:
            self.last = [state.detach() for state in states]
        return torch.stack(tops)

    def _first_states(self, x: Tensor, exposed: Sequence[Tensor]) -> list[Tensor]:
        shape = (x.shape[1], self.width)
        if exposed:
            if any(state.numel() != math.prod(shape) for state in exposed):
                raise self.error(f"expected first states of shape {(1, *shape)}, got "
                                 f"{', '.join(str(tuple(s.shape)) for s in exposed)}")
            return [state.detach().reshape(shape) for state in exposed]
        if x.is_meta or self.last is None or self.last[0].shape != shape:
            return [x.new_zeros(shape)] * self.states
        return [state.to(x) for state in self.last]

    def step(self, inputs: Tensor, cont: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """(top, *new states), all (N, D), from the sum of inputs (N, G D), cont (N, 1), states."""
        raise self.error("has no forward pass")


@register("LSTM")
class LSTM(_Recurrent):
    """Long short-term memory; states: hidden, cell. Bottoms, tops, params: see `_Recurrent`."""

    gates = 4
    states = 2
    shown = (("unit", "c", 2), ("unit", "h", 1))

    def step(self, inputs: Tensor, cont: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
        cell, hidden = lstm_step(states[1], inputs, cont)
        return hidden, hidden, cell


@register("RNN")
class RNN(_Recurrent):
    """hidden = tanh(inputs + W hidden), top = tanh(W_o hidden + b_o); see `_Recurrent`.

    params: at the end also W_o (D, D), b_o (D,)
    """

    shown = (("h_neuron", "h", 1), ("o_neuron", "o", 0))

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.recurrent_param
        self.add_blob((self.width, self.width), p.weight_filler)
        self.add_blob((self.width,), p.bias_filler)

    def step(self, inputs: Tensor, cont: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
        hidden = torch.tanh(inputs)
        return torch.tanh(F.linear(hidden, *self.blobs[-2:])), hidden


def _log_step(layer: str, name: str, tensor: Tensor) -> None:
    """Logs a tensor inside the unrolled net as if it were a layer's top, and its gradient when a
    backward pass reaches it.

    Caffe: the unrolled net of a recurrent layer with debug_info; `layer` is a name in that net.
    """
    log.info("    [Forward] Layer %s, top blob %s data: %.6g", layer, name, mean_magnitude(tensor))
    if tensor.requires_grad:
        tensor.register_hook(lambda gradient: log.info(
            "    [Backward] Layer %s, top blob %s diff: %.6g", layer, name,
            mean_magnitude(gradient)))
