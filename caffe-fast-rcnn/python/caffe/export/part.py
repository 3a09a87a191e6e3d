"""A part of a net: the layers between some blobs and others."""
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from caffe.core.errors import CaffeError, suggest
from caffe.nets.net import Net


class Part(NamedTuple):
    """Layers (indices in net order), the blobs that they start from and those they end with."""

    layers: list
    inputs: list
    outputs: list


def select(net: Net, start: Iterable[str] = (), end: Iterable[str] = (),
           shapes: Mapping[str, Sequence[int]] | None = None) -> Part:
    """The Part of a net that computes the blobs `end` from the blobs `start` and its inputs.

    start, end: blob names; a blob stands for its last value, after all layers that work in place.
    Without `end` the net's outputs are meant. shapes: {input of the part: shape}, which the net is
    reshaped to. Raises CaffeError for unknown blobs and for a start that `end` does not depend on.
    """
    end = list(end) or list(net.outputs)
    for name in (*start, *end):
        if name not in net.blobs:
            raise CaffeError(f'the net has no blob "{name}"{suggest(name, net.blobs)}')
    if not end:
        raise CaffeError("the net has no outputs, every blob is the bottom of a layer; say which "
                         "blobs are wanted (end)")
    sources, final = _wiring(net)
    stops = {(name, final[name]) for name in start}
    layers, reached = set(), set()
    todo = [(name, final[name]) for name in end if (name, final[name]) not in stops]
    while todo:
        name, index = todo.pop()
        runner = net._runners[index]
        if runner.type == "Input":
            reached.add(name)
        elif index not in layers:
            layers.add(index)
            reached.update(value[0] for value in sources[index] if value in stops)
            todo += [value for value in sources[index] if value not in stops]
    unused = [name for name in start if name not in reached]
    if unused:
        raise CaffeError(f'{", ".join(end)} does not depend on "{unused[0]}"')
    part = Part(sorted(layers), [name for name in net.blobs if name in reached], end)
    _reshape(net, part, shapes or {})
    return part


def _wiring(net: Net) -> tuple[list[list[tuple[str, int]]], dict[str, int]]:
    """Per layer the values (blob, layer that wrote it) it reads; per blob its last writer."""
    sources: list[list[tuple[str, int]]] = []
    final: dict[str, int] = {}
    for index, runner in enumerate(net._runners):
        sources.append([(name, final[name]) for name in runner.bottom_names])
        final.update((name, index) for name in runner.top_names)
    return sources, final


def _reshape(net: Net, part: Part, shapes: Mapping[str, Sequence[int]]) -> None:
    for name, shape in shapes.items():
        if name not in part.inputs:
            raise CaffeError(f'"{name}" is no input here{suggest(name, part.inputs)}; the inputs '
                             f"are {', '.join(part.inputs)}")
        net.blobs[name].reshape(*shape)
    for index in part.layers if shapes else ():
        net._runners[index].reshape()


def own_name(net: Net, name: str) -> str:
    """The name that the prototxt has for a blob that a Split layer of the engine made."""
    for runner in net._runners:
        if runner.type == "Split" and name in runner.top_names and name not in runner.bottom_names:
            return runner.bottom_names[0]
    return name
