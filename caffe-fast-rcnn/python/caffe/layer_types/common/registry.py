"""The one registry: a layer's type string is the only name it is known by."""
from caffe.core.errors import LayerError, suggest

_TYPES = {}
_USERS_TYPE = "Python"      # its class comes from the user's module (runners/python_layer.py)


def register(type_name):
    """Class decorator: makes the class known under a prototxt's `type: "..."`."""
    def add(cls):
        if type_name in _TYPES:
            raise LayerError(f'layer type "{type_name}" is registered twice')
        _TYPES[type_name] = cls
        cls.type = type_name
        return cls
    return add


def lookup(type_name, layer_name):
    """The class of a layer type; LayerError names the nearest known type."""
    if type_name not in _TYPES:
        known = layer_type_list()
        raise LayerError(f'layer "{layer_name}": unknown layer type "{type_name}"'
                         f"{suggest(type_name, known)}; known types: {', '.join(known)}")
    return _TYPES[type_name]


def layer_type_list():
    """Names of all layer types, sorted (pycaffe: caffe.layer_type_list)."""
    return sorted([*_TYPES, _USERS_TYPE])
