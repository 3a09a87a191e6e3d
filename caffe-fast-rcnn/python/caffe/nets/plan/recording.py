"""Operators that PyTorch was asked for once, called again without Python in between.

    recorder = Recorder(inputs)
    with recorder:
        outputs = function(*inputs)
    replay = recorder.replay_of(outputs)        # None where there can be no replay
    outputs = replay(inputs)                    # the same operators, with other inputs

It is for functions that compute with tensors alone, and do the same for all inputs of one shape:
numbers that PyTorch gives to Python, or Python to PyTorch (torch.tensor, torch.from_numpy), make a
replay impossible. What is not an operator, such as `tolist` or a write to a numpy array, is not
noticed.
Tensors from elsewhere, as weights are, are constants: the same tensors, with the values that they
have at each replay. Nothing may be written to their memory, and none may be returned.

The replay is done by src/caffe/layers/recording.cpp.
"""
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from caffe.operators.registration import are_compiled

Replay = Callable[[list[Tensor]], list[Tensor]]
_FORMATS = {torch.contiguous_format: 0, torch.preserve_format: 1, torch.channels_last: 2,
            torch.channels_last_3d: 3}      # as operators know them

_FROM_PYTHON = torch.ops.aten.lift_fresh.default    # what torch.tensor and torch.from_numpy call


class Recorder(TorchDispatchMode):
    """Notes the operators that are called inside its `with` block, which must record no gradients.

    inputs: the tensors that are others at a replay. One that is there twice makes a replay
    impossible: nobody knows which of the two an operator reads.
    """

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self._recording: Any = None         # None: there can be no replay
        if are_compiled() and len({id(tensor) for tensor in inputs}) == len(inputs):
            self._recording = torch.classes.caffe_fast_rcnn.Recording(len(inputs))
        self._registers: Any = WeakTensorKeyDictionary()    # a tensor's register, while it lives
        self._constants: set[int] = set()       # addresses of their memory
        self._count = 0
        for tensor in inputs:
            self._new_register(tensor)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Else PyTorch imports all of torch.compile with the first operator, which takes 3 s and
        70 MB."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (),
                           kwargs: dict[str, Any] | None = None) -> Any:
        arguments = [*args, *(kwargs or {}).values()]
        places = [*range(len(args)), *(_place(func, name) for name in kwargs or {})]
        result = func(*args, **(kwargs or {}))
        if self._recording is not None:
            self._note(func, dict(zip(places, arguments)), result)
        return result

    def replay_of(self, outputs: Iterable[Tensor]) -> Replay | None:
        """The function that returns what these tensors are for other inputs; None where operators
        were called that give no tensors, or these are no tensors of theirs."""
        outputs = list(outputs)
        if self._recording is None or not all(
                tensor in self._registers and not self._is_constant(tensor) for tensor in outputs):
            return None
        self._recording.finish([self._registers[tensor] for tensor in outputs])
        replay: Replay = self._recording.replay
        return replay

    def _note(self, func: Any, arguments: dict[int, Any], result: Any) -> None:
        results = list(_tensors(result)) if func._schema.returns else []
        if not all(isinstance(tensor, Tensor) for tensor in results) or \
                any(map(_is_mixed, arguments.values())):
            self._recording = None
            return
        self._recording.begin(func._schema.name, func._schema.overload_name)
        for place, value in arguments.items():
            self._note_argument(place, value)
        if func is _FROM_PYTHON or self._writes_to_constants(func, arguments):
            self._recording = None
            return
        self._recording.end([self._register_of(tensor) for tensor in results])

    def _writes_to_constants(self, func: Any, arguments: dict[int, Any]) -> bool:
        written = [place for place, argument in enumerate(func._schema.arguments)
                   if argument.alias_info is not None and argument.alias_info.is_write]
        return any(self._is_constant(tensor) for place in written if place in arguments
                   for tensor in _tensors(arguments[place]))

    def _is_constant(self, tensor: Any) -> bool:
        return isinstance(tensor, Tensor) and not self._constants.isdisjoint(_memory_of(tensor))

    def _note_argument(self, place: int, value: Any) -> None:
        if isinstance(value, Tensor):
            self._recording.set_operand(place, self._operand(value))
        elif isinstance(value, (list, tuple)) and any(isinstance(item, Tensor) for item in value):
            self._recording.set_operands(place, [self._operand(item) for item in value])
        elif isinstance(value, (list, tuple)) and not value:
            self._recording.set_empty_list(place)
        elif isinstance(value, torch.memory_format):
            self._recording.set_value(place, _FORMATS[value])
        else:
            self._recording.set_value(place, list(value) if isinstance(value, tuple) else value)

    def _operand(self, tensor: Tensor) -> int:
        """The register of an argument; one that no operator has made is a constant."""
        if tensor not in self._registers:
            self._recording.set_constant(self._new_register(tensor), tensor)
            self._constants.update(_memory_of(tensor))
        return self._registers[tensor]

    def _register_of(self, tensor: Tensor) -> int:
        return self._registers[tensor] if tensor in self._registers else self._new_register(tensor)

    def _new_register(self, tensor: Tensor) -> int:
        self._registers[tensor] = self._count
        self._count += 1
        return self._count - 1


def _memory_of(tensor: Tensor) -> set[int]:
    """The address of a tensor's memory, the same for all its views; nothing for an empty tensor,
    which has no memory, and for one that is packed or sparse, which has no views."""
    if tensor.layout != torch.strided or not tensor.numel():
        return set()
    return {tensor.untyped_storage().data_ptr()}


def _is_mixed(argument: Any) -> bool:
    """Whether an argument is a list of tensors and of others, as indices may be."""
    return (isinstance(argument, (list, tuple))
            and len({isinstance(item, Tensor) for item in argument}) > 1)


def _place(func: Any, name: str) -> int:
    return [argument.name for argument in func._schema.arguments].index(name)


def _tensors(result: Any) -> Iterable[Any]:
    """The tensors of what an operator returns, in the order of its schema; else what is none."""
    if isinstance(result, (list, tuple)):
        for item in result:
            yield from _tensors(item)
    else:
        yield result
