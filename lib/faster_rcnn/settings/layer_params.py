"""What a Python layer's param_str says, and whether its bottoms and tops are those it knows."""
import difflib

from faster_rcnn.files import safe_yaml


def layer_params(layer, required=(), **optional):
    """The parameters of a Python layer, a dictionary, from the YAML mapping in its `param_str`.

    required: names that must be there; optional: further names with their defaults.
    Raises ValueError that names the layer when a name is missing or unknown.
    """
    where = f'layer "{layer.name}" ({layer.type}), param_str'
    given = safe_yaml.load(layer.param_str or "{}", where)
    if not isinstance(given, dict):
        raise ValueError(f"{where}: NAME: VALUE pairs such as 'feat_stride': 16 were expected; "
                         f"found {given!r}")
    for name in required:
        if name not in given:
            raise ValueError(f"{where}: '{name}' is missing")
    known = [*required, *optional]
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1) or known
            raise ValueError(f"{where}: unknown name '{name}' (did you mean '{close[0]}'?)")
    return {**optional, **given}


def check_counts(layer, bottom, top, bottoms, tops):
    """ValueError unless the layer has (least, most) bottoms and tops.

    Other projects have layers under the same names, with bottoms or tops of their own.
    """
    for kind, count, (least, most) in (("bottoms", len(bottom), bottoms),
                                       ("tops", len(top), tops)):
        if not least <= count <= most:
            usual = f"{least}" if least == most else f"{least} to {most}"
            raise ValueError(f'layer "{layer.name}": {type(layer).__name__} has {usual} {kind}, in '
                             f"this net {count}: it is made for another layer of this name; give "
                             "the module of that one a name of its own")
