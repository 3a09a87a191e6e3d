"""A part of a net as an ONNX model.

The nodes of each layer type are made in `layers`. Sizes are fixed, those that the net has when it
is exported, or free (Form).
"""
import re
from collections.abc import Callable, Collection
from typing import Any

import onnx
from onnx import helper

from caffe.core.errors import CaffeError, LayerError
from caffe.export.layers.graph import Form, Graph, nodes_of
from caffe.export.layers.scope import Scope
from caffe.export.layers.table import EXPORTERS, NO_FORM
from caffe.export.part import Part, own_name
from caffe.nets.net import Net
from caffe.runners.runner import LayerRunner

# opset -> the version of the file format that came with it
# (ONNX Runtime 1.32 lacks MaxRoiPool of opset 22)
_IR_VERSIONS = {14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}
OPSETS = tuple(_IR_VERSIONS)
_LARGEST_MESSAGE = 2000 << 20     # bytes; protobuf's limit is 2 GB
_ENDS = ("input", "output", "outputs", "detections")    # prefixes of Graphs around the layers
# the axis of a layer's tops, and of what is made of them, whose length the numbers decide
_OPEN_AXES = {"DetectionOutput": 2, "Filter": 0, "Proposal": 0, "Python": 0}


def to_onnx(net: Net, part: Part, form: Form | None = None) -> onnx.ModelProto:
    """The onnx.ModelProto of a Part of a net, in the net's phase, with its weights inside.

    Inputs and outputs are called as the blobs. Raises LayerError for a layer that has no ONNX form,
    CaffeError for another opset than OPSETS.
    """
    form = form or Form()
    values = {name: name for name in part.inputs}
    graphs = convert(net, part, values, form)
    ends = Graph("outputs", form)
    for name in part.outputs:
        if values[name] != name:
            ends.nodes.append(helper.make_node("Identity", [values[name]], [name],
                                               name=f"{name}/out"))
    open_axes = _open_axes(net, part)
    inputs, outputs = ([helper.make_tensor_value_info(
        name, onnx.TensorProto.FLOAT, _sizes(net, part, name, form, open_axes.get(name)))
        for name in names] for names in (part.inputs, part.outputs))
    return model_of([*graphs, ends], inputs, outputs, str(net.name) or "net")


def convert(net: Net, part: Part, values: dict[str, str], form: Form,
            reserved: Collection[str] = ()) -> list[Graph]:
    """The nodes of the layers of a part, a Graph per layer, for a graph that holds more than them.

    values: {input of the part: its value in the graph}; it gets the values of all other blobs.
    reserved: names of values that blobs may not take. Errors: as to_onnx.
    """
    graphs: list[Graph] = []
    last, prefixes = _last_writers(net, part), _prefixes(net, part)
    for index in part.layers:
        layer = net._runners[index]
        scope = Scope(layer, form, prefixes[index])
        found = _exporter(net, layer)(scope, *(values[name] for name in layer.bottom_names))
        for name, value in zip(layer.top_names, [found] if isinstance(found, str) else found):
            usual = last[name] == index and name not in reserved
            fresh = name if usual else _other_than(f"{name}@{scope.prefix}", net.blobs)
            values[name] = fresh if scope.rename(value, fresh) else value
        graphs.append(scope)
    return graphs


def model_of(graphs: list[Graph], inputs: Any, outputs: Any, name: str) -> onnx.ModelProto:
    """A checked model of Graphs. inputs, outputs: onnx.ValueInfoProtos."""
    opset = graphs[0].form.opset
    if opset not in _IR_VERSIONS:
        raise CaffeError(f"opset {opset} is not one of {OPSETS[0]} to {OPSETS[-1]}")
    nodes, initializers = nodes_of(graphs)
    model = helper.make_model(helper.make_graph(nodes, name, list(inputs), list(outputs)),
                              opset_imports=[helper.make_opsetid("", opset)],
                              ir_version=_IR_VERSIONS[opset], producer_name="caffe-fast-rcnn")
    model.graph.initializer.extend(initializers)
    if model.ByteSize() < _LARGEST_MESSAGE:
        onnx.checker.check_model(model)
    return model


def _open_axes(net: Net, part: Part) -> dict[str, int]:
    """{blob: its axis whose length is known at run time only}, such as the number of rois."""
    found: dict[str, int] = {}
    for index in part.layers:
        runner = net._runners[index]
        axes = [_OPEN_AXES.get(runner.type), *(found.get(name) for name in runner.bottom_names)]
        known = [axis for axis in axes if axis is not None]
        for name in runner.top_names:
            found.pop(name, None)
            found.update({name: known[0]} if known else {})
    return found


def _sizes(net: Net, part: Part, name: str, form: Form, open_axis: int | None) -> list[Any]:
    """The sizes of an input or output in the graph's description; of free ones only the channels of
    an input are said, since those of an output may come of a Flatten."""
    shape = net.blobs[name].shape
    is_free = [axis == open_axis for axis in range(len(shape))]
    if form.free_sizes:
        is_free = [axis != 1 or name not in part.inputs for axis in range(len(shape))]
    return [f"{name}_{axis}" if free else size
            for axis, (size, free) in enumerate(zip(shape, is_free))]


def _prefixes(net: Net, part: Part) -> dict[int, str]:
    """{layer: what the names of its nodes and constants begin with}. Layers may have equal names,
    and blobs any."""
    taken, found = set(_ENDS), {}
    looks_made = re.compile(r"\..*|/[A-Za-z]+\d+(:\d+)?")      # as Graph makes names
    for index in part.layers:
        name = net._runners[index].name
        while name in taken or any(looks_made.fullmatch(blob, len(name)) for blob in net.blobs
                                   if blob.startswith(name)):
            name += "_"
        taken.add(name)
        found[index] = name
    return found


def _other_than(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _last_writers(net: Net, part: Part) -> dict[str, int]:
    return {name: index for index in part.layers for name in net._runners[index].top_names}


def _exporter(net: Net, layer: LayerRunner) -> Callable[..., Any]:
    if layer.type in EXPORTERS:
        return EXPORTERS[layer.type]
    if hasattr(layer.public, "to_onnx"):
        return layer.public.to_onnx
    end, start = (", ".join(own_name(net, name) for name in names) or "other blobs"
                  for names in (layer.bottom_names, layer.top_names))
    why = NO_FORM.get(layer.type, "its class has no method to_onnx")
    raise LayerError(f'layer "{layer.name}" ({layer.type}) has no ONNX form, since {why}; export '
                     f"what lies before it (end: {end}) or behind it (start: {start}) instead")
