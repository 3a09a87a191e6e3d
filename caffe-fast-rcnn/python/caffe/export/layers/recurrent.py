"""ONNX nodes of LSTM, LSTMUnit and RNN, unrolled in time; their numbers of steps are fixed.

An exported net has no memory: without expose_hidden every run starts from states of zeros, as the
first forward pass of a net does.
"""
from collections.abc import Callable, Sequence

import numpy as np

from caffe.export.layers.scope import Scope

# (scope, inputs (N, G D), cont (N, 1), states) -> (top, new states)
Step = Callable[[Scope, str, str, Sequence[str]], tuple[str, list[str]]]


def lstm(scope: Scope, x: str, cont: str, *others: str) -> str | list[str]:
    return _unrolled(scope, x, cont, others, _lstm_step)


def rnn(scope: Scope, x: str, cont: str, *others: str) -> str | list[str]:
    return _unrolled(scope, x, cont, others, _rnn_step)


def lstm_unit(scope: Scope, cell: str, gates: str, cont: str) -> list[str]:
    _, streams, width = scope.bottom_shapes[0]
    scope.fixed("an LSTMUnit")
    hidden, (_, new_cell) = _lstm_step(scope, scope.reshape(gates, (streams, 4 * width)),
                                       scope.reshape(cont, (streams, 1)),
                                       ["", scope.reshape(cell, (streams, width))])
    return [scope.reshape(value, (1, streams, width)) for value in (new_cell, hidden)]


def _unrolled(scope: Scope, x: str, cont: str, others: Sequence[str],
              step: Step) -> str | list[str]:
    module, (steps, streams) = scope.module, scope.bottom_shapes[0][:2]
    scope.fixed(f"an {scope.layer.type}")
    weights = [scope.blob(i, f"blob{i}") for i in range(len(scope.layer.blobs))]
    rows = scope.op("Gemm", scope.reshape(x, (steps * streams, -1)), *weights[:2], transB=1)
    inputs = scope.reshape(rows, (steps, streams, module.gates * module.width))
    if module.has_constant:
        constant = scope.reshape(others[0], (streams, -1))
        constant = scope.op("MatMul", constant, scope.op("Transpose", weights[2], perm=(1, 0)))
        inputs = scope.op("Add", inputs, constant)
    states = _first_states(scope, others, streams)
    recurrent = scope.op("Transpose", weights[2 + module.has_constant], perm=(1, 0))
    tops = []
    for number in range(steps):
        go_on, own = (scope.op("Gather", value, scope.integers(number)) for value in (cont, inputs))
        go_on = scope.reshape(go_on, (streams, 1))
        kept = scope.op("MatMul", scope.op("Mul", go_on, states[0]), recurrent)
        top, states = step(scope, scope.op("Add", own, kept), go_on, states)
        tops.append(scope.op("Unsqueeze", top, scope.integers([0])))
    whole = scope.op("Concat", *tops, axis=0)
    if not module.expose:
        return whole
    return [whole, *(scope.op("Unsqueeze", state, scope.integers([0])) for state in states)]


def _first_states(scope: Scope, others: Sequence[str], streams: int) -> list[str]:
    module = scope.module
    shape = (streams, module.width)
    if module.expose:
        return [scope.reshape(state, shape) for state in others[-module.states:]]
    return [scope.constant(np.zeros(shape, np.float32))] * module.states


def _lstm_step(scope: Scope, inputs: str, cont: str,
               states: Sequence[str]) -> tuple[str, list[str]]:
    width = scope.top_shapes[0][-1]
    gates = scope.op("Split", inputs, scope.integers([width] * 4), outputs=4, axis=1)
    take, keep, give = (scope.op("Sigmoid", gate) for gate in gates[:3])
    kept = scope.op("Mul", scope.op("Mul", cont, keep), states[1])
    cell = scope.op("Add", kept, scope.op("Mul", take, scope.op("Tanh", gates[3])))
    hidden = scope.op("Mul", give, scope.op("Tanh", cell))
    return hidden, [hidden, cell]


def _rnn_step(scope: Scope, inputs: str, _cont: str,
              _states: Sequence[str]) -> tuple[str, list[str]]:
    hidden = scope.op("Tanh", inputs)
    last = len(scope.layer.blobs)
    weight, bias = (f"{scope.prefix}.blob{i}" for i in (last - 2, last - 1))
    return scope.op("Tanh", scope.op("Gemm", hidden, weight, bias, transB=1)), [hidden]
