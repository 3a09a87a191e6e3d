"""What Caffe does to a NetParameter before it builds the net: rules, and Split layers.

Both functions take a NetParameter of the current form and give a new one.
"""
from collections import Counter
from collections.abc import Iterable

from caffe.core.errors import LayerError, suggest
from caffe.core.state import Phase
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import LayerParameter, NetParameter, NetState, NetStateRule

_Place = tuple[int, int]    # layer, and which of its bottoms or tops


def filter_layers(net: NetParameter) -> NetParameter:
    """The layers whose include and exclude rules admit the net's state (Caffe: Net::FilterNet)."""
    filtered = caffe_pb2.NetParameter()
    filtered.CopyFrom(net)
    del filtered.layer[:]
    filtered.layer.extend(layer for layer in net.layer if _is_included(layer, net.state))
    return filtered


def _is_included(layer: LayerParameter, state: NetState) -> bool:
    if layer.include and layer.exclude:
        raise LayerError(f'layer "{layer.name}" ({layer.type}): expected include rules or exclude '
                         "rules, got both")
    if layer.include:
        return any(meets(rule, state) for rule in layer.include)
    return not any(meets(rule, state) for rule in layer.exclude)


def meets(rule: NetStateRule, state: NetState) -> bool:
    """Whether a NetState fulfils all conditions of a NetStateRule (Caffe: StateMeetsRule)."""
    if rule.HasField("phase") and rule.phase != state.phase:
        return False
    if rule.HasField("min_level") and state.level < rule.min_level:
        return False
    if rule.HasField("max_level") and state.level > rule.max_level:
        return False
    stages = set(state.stage)
    return stages.issuperset(rule.stage) and stages.isdisjoint(rule.not_stage)


def insert_splits(net: NetParameter) -> NetParameter:
    """A Split layer behind every top that is used more than once (Caffe: InsertSplits).

    Each use then has a blob of its own, "<blob>_<layer>_<top index>_split_<use>". A loss weight
    counts as a use.
    """
    sources, uses, loss_weights = uses_of_tops(net)
    result = caffe_pb2.NetParameter()
    result.CopyFrom(net)
    del result.layer[:]
    next_use: Counter[_Place] = Counter()
    for i, layer in enumerate(net.layer):
        layer = _appended(result, layer)
        for j, blob in enumerate(layer.bottom):
            top = sources[i, j]
            if uses[top] > 1:
                name = _split_name(blob, net.layer[top[0]].name, top[1])
                layer.bottom[j] = f"{name}_{next_use[top]}"
                next_use[top] += 1
        for j, blob in enumerate(layer.top):
            if uses[i, j] > 1:
                weight = loss_weights.get((i, j), 0)
                _add_split(result, blob, _split_name(blob, layer.name, j), uses[i, j], weight)
                if weight:
                    del layer.loss_weight[:]
                    next_use[i, j] += 1
    return result


def uses_of_tops(net: NetParameter
                 ) -> tuple[dict[_Place, _Place], Counter[_Place], dict[_Place, float]]:
    """For each bottom (layer, index) its top; for each top its number of uses and loss weight."""
    last: dict[str, _Place] = {}
    sources: dict[_Place, _Place] = {}
    uses: Counter[_Place] = Counter()
    loss_weights: dict[_Place, float] = {}
    for i, layer in enumerate(net.layer):
        for j, blob in enumerate(layer.bottom):
            if blob not in last:
                raise unknown_bottom(layer, j, last)
            sources[i, j] = last[blob]
            uses[last[blob]] += 1
        for j, blob in enumerate(layer.top):
            last[blob] = i, j
        for j, weight in enumerate(layer.loss_weight[:len(layer.top)]):
            if weight:
                loss_weights[last[layer.top[j]]] = weight
                uses[last[layer.top[j]]] += 1
    return sources, uses, loss_weights


def unknown_bottom(layer: LayerParameter, index: int, known: Iterable[str]) -> LayerError:
    """The LayerError for a bottom that is not a top of an earlier layer."""
    name = layer.bottom[index]
    phase = f" in phase {Phase(layer.phase)}" if layer.HasField("phase") else ""
    return LayerError(f'layer "{layer.name}" ({layer.type}): no layer above it has the top '
                      f'"{name}" (bottom {index}){phase}{suggest(name, known)}')


def _appended(net: NetParameter, layer: LayerParameter) -> LayerParameter:
    net.layer.add().CopyFrom(layer)
    return net.layer[-1]


def _split_name(blob: str, layer: str, index: int) -> str:
    return f"{blob}_{layer}_{index}_split"


def _add_split(net: NetParameter, blob: str, name: str, uses: int, loss_weight: float) -> None:
    split = net.layer.add(name=name, type="Split", bottom=[blob])
    split.top.extend(f"{name}_{k}" for k in range(uses))
    if loss_weight:
        split.loss_weight.extend([loss_weight] + [0] * (uses - 1))
