"""What a Python layer's param_str says, and whether its bottoms and tops are those it knows."""
from collections.abc import Iterable, Sequence
from typing import Any

from caffe.core.errors import LayerError, suggest
from faster_rcnn.files import safe_yaml


class LayerParamError(LayerError, ValueError):
    """A param_str, or a number of bottoms or tops, that a Python layer cannot work with."""


def layer_params(layer: Any, required: Iterable[str] = (),
                 **optional: Any) -> dict[str, Any]:
    """The parameters of a Python layer, a dictionary, from the YAML mapping in its `param_str`.

    required: names that must be there; optional: further names with their defaults.
    Raises LayerParamError, which names the layer, when a name is missing or unknown.
    """
    where = f'layer "{layer.name}" ({layer.type}), param_str'
    given = safe_yaml.load(layer.param_str or "{}", where)
    if not isinstance(given, dict):
        raise LayerParamError(f"{where}: NAME: VALUE pairs such as 'feat_stride': 16 were "
                              f"expected; found {given!r}")
    for name in required:
        if name not in given:
            raise LayerParamError(f"{where}: '{name}' is missing")
    known = [*required, *optional]
    for name in given:
        if name not in known:
            hint = suggest(name, known) or f"; known: {', '.join(known) or 'none'}"
            raise LayerParamError(f"{where}: unknown name '{name}'{hint}")
    return {**optional, **given}


def check_counts(layer: Any, bottom: Sequence, top: Sequence, bottoms: tuple[int, int],
                 tops: tuple[int, int]) -> None:
    """LayerParamError unless the numbers of bottoms and tops are between (least, most).

    Other projects have layers under the same names, with bottoms or tops of their own.
    """
    for kind, count, (least, most) in (("bottoms", len(bottom), bottoms),
                                       ("tops", len(top), tops)):
        if not least <= count <= most:
            usual = f"{least}" if least == most else f"{least} to {most}"
            raise LayerParamError(
                f'layer "{layer.name}": {type(layer).__name__} has {usual} {kind}, in this net '
                f"{count}: the net is made for another layer of this name; give the module of that "
                "layer a name of its own")
