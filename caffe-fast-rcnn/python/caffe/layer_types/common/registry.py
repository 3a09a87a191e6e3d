"""The one registry: a layer's type string is the only name it is known by."""
from collections.abc import Callable
from typing import TypeVar

from caffe.core.errors import LayerError, suggest
from caffe.layer_types.common.module import Module

_TYPES: dict[str, type[Module]] = {}
_Layer = TypeVar("_Layer", bound=Module)
_USERS_TYPE = "Python"      # its class comes from the user's module (runners/python_layer.py)


def register(type_name: str) -> Callable[[type[_Layer]], type[_Layer]]:
    """Class decorator: makes the class known under a prototxt's `type: "..."`."""
    def add(cls: type[_Layer]) -> type[_Layer]:
        if type_name in _TYPES:
            raise LayerError(f'layer type "{type_name}" is registered twice')
        _TYPES[type_name] = cls
        cls.type = type_name
        return cls
    return add


def lookup(type_name: str, layer_name: str) -> type[Module]:
    """The class of a layer type; LayerError names the nearest known type."""
    if type_name not in _TYPES:
        known = layer_type_list()
        raise LayerError(f'layer "{layer_name}": unknown layer type "{type_name}"'
                         f"{suggest(type_name, known)}; known types: {', '.join(known)}")
    return _TYPES[type_name]


def layer_type_list() -> list[str]:
    """Names of all layer types, sorted (pycaffe: caffe.layer_type_list)."""
    return sorted([*_TYPES, _USERS_TYPE])
