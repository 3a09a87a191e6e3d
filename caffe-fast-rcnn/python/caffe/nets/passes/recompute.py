"""Training in less memory: activations are dropped in the forward pass and made again in backward.

Chen et al. 2016, Training deep nets with sublinear memory cost. The layers that work on maps are
cut into segments, each up to a pooling layer. Of a segment only what other layers read stays; its
layers run a second time when backward comes to them, with the same results to the last bit. Of
frozen layers nothing is needed again. Gradients of blobs go as soon as they are used: `diff` is 0
after the pass.
"""
from collections.abc import Sequence

from caffe.core.blob import Blob
from caffe.core.memory import Memory
from caffe.nets.passes.silent import LeftOut, works_in_place
from caffe.nets.plan.pure import is_pure
from caffe.runners.module_runner import SplitRunner
from caffe.runners.runner import GraphRunner, LayerRunner

LONGEST = 8     # layers of a segment, but for those in place that follow
# Their results are small, and much work
_NOT_WORTH_IT = ("InnerProduct", "PSROIPooling", "ROIAlign", "ROIPooling", "Silence", "Softmax")


class Segment:
    """Neighbouring layers of a net; kept: what layers elsewhere read of them."""

    def __init__(self, layers: Sequence[LayerRunner], kept: Sequence[Memory]) -> None:
        self.layers, self._kept = layers, kept
        self._left_out = LeftOut(layers)
        self._is_dropped = False

    def drop(self) -> None:
        """Forgets everything but what is kept; who reads the rest has it computed."""
        for layer in self.layers:
            if isinstance(layer, GraphRunner):
                layer.forget()
        self._left_out.defer(self._kept)
        self._is_dropped = True

    def restore(self) -> None:
        """Runs the layers again, if they were dropped, for their backward passes."""
        if not self._is_dropped:
            return
        kept = [(memory, memory.as_is()) for memory in self._kept]
        for layer in self.layers:
            layer.forward(record=True)
        for memory, tensor in kept:
            memory.set(tensor, owned=False)
        self._is_dropped = False


class Segments:
    """The segments of a net; left_out: places of layers that run otherwise; outputs: the blobs that
    no layer takes.
    """

    def __init__(self, layers: Sequence[LayerRunner], left_out: Sequence[int],
                 outputs: Sequence[Blob]) -> None:
        self._layers = layers
        self._by_end: dict[int, Segment] = {}       # by the place of the last layer
        # by the places of the layers at which backward comes to a segment, and leaves it
        self._by_last: dict[int, Segment] = {}
        self._by_first: dict[int, Segment] = {}
        for places in _cut(layers, set(left_out)):
            read = {id(blob.values) for place, layer in enumerate(layers) if place not in places
                    for blob in layer.bottoms} | {id(blob.values) for blob in outputs}
            inside = [layers[place] for place in places]
            made = {id(top.values): top.values for layer in inside for top in layer.tops}
            segment = Segment(inside, [memory for key, memory in made.items() if key in read])
            self._by_end[places[-1]] = segment
            learning = [place for place in places if layers[place].need_backward]
            if learning:
                self._by_last[learning[-1]] = self._by_first[learning[0]] = segment

    def after_forward(self, place: int) -> None:
        """Called when layer number `place` has run."""
        if place in self._by_end:
            self._by_end[place].drop()

    def before_backward(self, place: int) -> None:
        """Called before the backward pass of layer number `place`."""
        if place in self._by_last:
            self._by_last[place].restore()

    def after_backward(self, place: int) -> None:
        """Called after the backward pass of layer number `place`."""
        layer = self._layers[place]
        bottoms = {id(bottom) for bottom in layer.bottoms}
        for top in layer.tops:
            if id(top) not in bottoms and not layer.losses:
                top.gradient.unset(top.shape)
        if place in self._by_first:
            self._by_first[place].drop()


def _cut(layers: Sequence[LayerRunner], left_out: set[int]) -> list[list[int]]:
    """The places of the layers of each segment. What a layer changes in place is made in the same
    segment: a second run must begin with what was there before."""
    segments: list[list[int]] = [[]]
    for place, layer in enumerate(layers):
        if place in left_out:
            continue
        changed = set() if isinstance(layer, SplitRunner) else works_in_place(layer)
        made = {id(top.values) for other in segments[-1] for top in layers[other].tops
                if not isinstance(layers[other], SplitRunner)}
        if not (_is_repeatable(layer) and changed <= made):
            segments.append([])
            continue
        if len(segments[-1]) >= LONGEST and not changed:
            segments.append([])
        segments[-1].append(place)
        if layer.type == "Pooling":
            segments.append([])
    return [places for places in segments if len(places) > 1]


def _is_repeatable(layer: LayerRunner) -> bool:
    return ((isinstance(layer, SplitRunner) or is_pure(layer))
            and layer.type not in _NOT_WORTH_IT)
