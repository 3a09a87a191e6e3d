"""Nets written as Python expressions (pycaffe: caffe.net_spec).

    from caffe import layers as L, params as P

    n = caffe.NetSpec()
    n.data, n.label = L.DummyData(shape=[dict(dim=[8, 3, 32, 32]), dict(dim=[8])], ntop=2)
    n.conv1 = L.Convolution(n.data, num_output=16, kernel_size=3, weight_filler=dict(type="xavier"))
    n.relu1 = L.ReLU(n.conv1, in_place=True)
    n.pool1 = L.Pooling(n.relu1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    print(n.to_proto())

A keyword of a layer is a field of the layer type's own parameter block, or of LayerParameter
itself (name, param, loss_weight, include, ..., any *_param block). Two more keywords are `ntop`,
the number of tops, and `in_place`. Tops without a name in the NetSpec are named after the layer's
type: "ReLU1".
"""
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from caffe.core.errors import suggest
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import LayerParameter, NetParameter

_SUFFIX = "_param"


def param_name_dict() -> dict[str, str]:
    """Layer type -> its parameter block without the suffix: {"InnerProduct": "inner_product"}."""
    return {field.message_type.name.removesuffix("Parameter"): field.name.removesuffix(_SUFFIX)
            for field in caffe_pb2.LayerParameter.DESCRIPTOR.fields if field.name.endswith(_SUFFIX)}


_PARAM_NAMES = param_name_dict()


def to_proto(*tops: "Top | Function") -> NetParameter:
    """The NetParameter with every layer that is needed to compute the given tops."""
    layers: OrderedDict[Function, LayerParameter] = OrderedDict()
    names: dict[Any, str] = {}
    autonames: Counter[str] = Counter()
    for top in tops:
        top.fn._to_proto(layers, names, autonames)
    return caffe_pb2.NetParameter(layer=layers.values())


def assign_proto(message: Message, name: str, value: Any) -> None:
    """Sets a field of a message from Python values: dicts are messages, lists repeated fields.

    A single value for a repeated field is a list of one; an enum value may be given by name.
    Raises AttributeError with the nearest name for a field that does not exist.
    """
    field = message.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        raise AttributeError(f'{message.DESCRIPTOR.name} has no field "{name}"'
                             f"{suggest(name, message.DESCRIPTOR.fields_by_name)}")
    target = getattr(message, name)
    repeated = hasattr(target, "extend")
    values = list(value) if isinstance(value, (list, tuple, np.ndarray)) else [value]
    if len(values) != 1 and not repeated:
        raise TypeError(f'{message.DESCRIPTOR.name} field "{name}" takes one value, got {value!r}')
    for item in values:
        if field.message_type is not None:
            _assign_message(target.add() if repeated else target, item)
        elif repeated:
            target.append(_plain(field, item))
        else:
            setattr(message, name, _plain(field, item))


def _assign_message(message: Message, value: Any) -> None:
    if isinstance(value, dict):
        message.SetInParent()
        for key, item in value.items():
            assign_proto(message, key, item)
    else:
        message.CopyFrom(value)


def _plain(field: FieldDescriptor, value: Any) -> Any:
    """A number, a string or a bool; the number of an enum value that is given by name."""
    if field.enum_type is not None and isinstance(value, str):
        if value not in field.enum_type.values_by_name:
            raise AttributeError(f'{field.enum_type.name} has no value "{value}"'
                                 f"{suggest(value, field.enum_type.values_by_name)}")
        return field.enum_type.values_by_name[value].number
    return value.item() if isinstance(value, np.generic) else value


class Top:
    """One output of a layer: output number `n` of Function `fn`."""

    def __init__(self, fn: "Function", n: int) -> None:
        self.fn = fn
        self.n = n

    def to_proto(self) -> NetParameter:
        """The NetParameter with every layer that is needed to compute this top."""
        return to_proto(self)

    def _to_proto(self, layers: dict["Function", LayerParameter], names: dict[Any, str],
                  autonames: Counter[str]) -> None:
        return self.fn._to_proto(layers, names, autonames)


class Function:
    """A layer: its type, its inputs (Tops) and its parameters; `tops` are its outputs."""

    def __init__(self, type_name: str, inputs: Sequence[Top], params: dict[str, Any]) -> None:
        for index, top in enumerate(inputs):
            if not isinstance(top, Top):
                raise TypeError(f"{type_name} input {index} is not a Top (type is {type(top)})")
        self.type_name = type_name
        self.inputs = inputs
        self.params = dict(params)
        self.ntop = self.params.pop("ntop", 1)
        self.in_place = self.params.pop("in_place", False)
        self.tops = tuple(Top(self, n) for n in range(self.ntop))

    @property
    def fn(self) -> "Function":
        """A layer without tops can stand where a Top stands."""
        return self

    def to_proto(self) -> NetParameter:
        """The NetParameter with this layer and every layer before it."""
        return to_proto(self)

    def _name(self, key: "Top | Function", names: dict[Any, str], autonames: Counter[str]) -> str:
        """The name of a top or of this layer, given by the NetSpec or made from the type."""
        if key not in names:
            autonames[self.type_name] += 1
            names[key] = f"{self.type_name}{autonames[self.type_name]}"
        return names[key]

    def _to_proto(self, layers: dict["Function", LayerParameter], names: dict[Any, str],
                  autonames: Counter[str]) -> None:
        """Adds this layer to `layers` (Function -> LayerParameter), those before it first."""
        if self in layers:
            return
        bottoms = []
        for top in self.inputs:
            top._to_proto(layers, names, autonames)
            bottoms.append(layers[top.fn].top[top.n])
        layer = caffe_pb2.LayerParameter(type=self.type_name, bottom=bottoms)
        if self.in_place:
            layer.top.extend(bottoms)
        else:
            layer.top.extend(self._name(top, names, autonames) for top in self.tops)
        layer.name = self._name(self.tops[0] if self.tops else self, names, autonames)
        for name, value in self.params.items():
            self._assign(layer, name, value)
        layers[self] = layer

    def _assign(self, layer: LayerParameter, name: str, value: Any) -> None:
        """Sets a keyword in the type's own block if that has such a field, else in the layer."""
        block = _PARAM_NAMES.get(self.type_name, "") + _SUFFIX
        own = caffe_pb2.LayerParameter.DESCRIPTOR.fields_by_name.get(block)
        own = own.message_type.fields_by_name if own is not None else {}
        whole_layer = layer.DESCRIPTOR.fields_by_name
        if name not in own and name not in whole_layer:
            raise AttributeError(f'layer "{layer.name}" ({self.type_name}) has no parameter '
                                 f'"{name}"{suggest(name, [*own, *whole_layer])}')
        assign_proto(getattr(layer, block) if name in own else layer, name, value)


class NetSpec:
    """A net under construction: assign Tops to attributes or items, then call `to_proto`."""

    def __init__(self) -> None:
        super().__setattr__("tops", OrderedDict())

    def __setattr__(self, name: str, value: Any) -> None:
        self.tops[name] = value

    def __getattr__(self, name: str) -> Any:
        tops = vars(self).get("tops", {})      # not there yet while a copy is being made
        if name not in tops:
            raise AttributeError(f'the net has no top "{name}"{suggest(name, tops)}')
        return tops[name]

    def __delattr__(self, name: str) -> None:
        del self.tops[name]

    __setitem__, __getitem__, __delitem__ = __setattr__, __getattr__, __delattr__

    def to_proto(self) -> NetParameter:
        """The NetParameter with all layers, in the order in which their tops were assigned."""
        names = {top: name for name, top in self.tops.items()}
        layers: OrderedDict[Function, LayerParameter] = OrderedDict()
        autonames: Counter[str] = Counter()
        for top in self.tops.values():
            top._to_proto(layers, names, autonames)
        return caffe_pb2.NetParameter(layer=layers.values())


class Layers:
    """`layers.Type(bottoms, parameters)` gives a Top, a tuple of Tops, or a Function (no tops)."""

    def __getattr__(self, type_name: str) -> Callable[..., Any]:
        def layer(*bottoms: Top, **parameters: Any) -> Any:
            fn = Function(type_name, bottoms, parameters)
            return fn if fn.ntop == 0 else fn.tops[0] if fn.ntop == 1 else fn.tops
        return layer


class Parameters:
    """`params.Pooling.MAX`: the enum values of the parameter messages."""

    def __getattr__(self, name: str) -> Any:
        message = getattr(caffe_pb2, f"{name}Parameter", None)
        if message is None:
            raise AttributeError(f"there is no {name}Parameter{suggest(name, _PARAM_NAMES)}")
        return message


layers = Layers()
params = Parameters()
