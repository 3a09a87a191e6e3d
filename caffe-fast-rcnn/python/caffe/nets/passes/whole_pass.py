"""Forward passes through a whole net, and which of its layers they leave out.

Test nets go by a plan (plan/); others leave out branches that end in Silence (silent.py), and
frozen layers whose results are known (frozen.py). Some keep little for backward (recompute.py).
"""
from collections.abc import Sequence

from torch import Tensor

from caffe.core.blob import Blob
from caffe.nets.passes.frozen import FeatureCache, FrozenPart, Keys
from caffe.nets.passes.recompute import Segments
from caffe.nets.passes.silent import LeftOut, silent_places
from caffe.nets.plan.planner import Planner
from caffe.nets.plan.steps import run_layer
from caffe.runners.runner import LayerRunner


class WholePass:
    """How a net's layers are run, all of them in order; outputs: the blobs that no layer takes."""

    def __init__(self, layers: Sequence[LayerRunner], outputs: Sequence[Blob],
                 planner: Planner) -> None:
        self._layers, self._outputs, self._planner = layers, outputs, planner
        self._silent_places = silent_places(layers, outputs)
        self._silent = LeftOut([layers[place] for place in self._silent_places])
        self._frozen: FrozenPart | None = None
        self.segments: Segments | None = None

    def run(self, record: bool) -> Tensor | float:
        """One pass; returns the weighted sum of the losses. record: a backward pass may follow."""
        if self._planner.allows():
            return self._planner.run()
        self._planner.compute_absent()
        frozen = self._frozen.places if self._frozen is not None else []
        left_out = {*self._silent_places, *frozen}
        loss: Tensor | float = 0.0
        for place, layer in enumerate(self._layers):
            if self._frozen is not None and place == frozen[0]:
                self._frozen.run(record, drops=self.segments is not None)
            if place not in left_out:
                loss = loss + run_layer(layer, record)
                if self.segments is not None:
                    self.segments.after_forward(place)
        self._silent.defer()
        return loss

    def run_backward(self, place: int) -> None:
        """The backward pass of layer number `place`."""
        if self.segments is not None:
            self.segments.before_backward(place)
        self._layers[place].backward()
        if self.segments is not None:
            self.segments.after_backward(place)

    def compute_left_out(self) -> None:
        """Computes the blobs that the last pass left out, before layers run by themselves."""
        self._planner.compute_absent()
        if self._frozen is not None:
            self._frozen.compute()
        self._silent.compute()

    def recompute_activations(self) -> None:
        """From now on activations are dropped in a pass and computed again in backward, which takes
        more time and less memory, see recompute.py."""
        frozen = self._frozen.places if self._frozen is not None else []
        self.segments = Segments(self._layers, [*self._silent_places, *frozen], self._outputs)

    def keep_features(self, limit: int, keys: Keys) -> FeatureCache | None:
        """Keeps what the frozen layers at the beginning make of each image, in `limit` bytes of
        main memory at most (0: no longer), see frozen.py. keys: called once the first layer has
        given a batch: what decides each of its images, or None where they are not to be kept.
        Returns the cache, None without frozen layers.
        """
        self.compute_left_out()
        frozen = FrozenPart(self._layers, self._silent_places, self._outputs, keys, limit)
        self._frozen = frozen if limit and frozen.features else None
        if self.segments is not None:
            self.recompute_activations()
        return None if self._frozen is None else self._frozen.cache
