"""The plan of a net: which passes it serves, when it holds, and when it is made anew."""
from collections.abc import Sequence

import torch
from torch import Tensor

from caffe.core import state
from caffe.core.blob import AnyParamBlob
from caffe.core.memory import Memory
from caffe.nets.plan.chains import Chain, find_chains
from caffe.nets.plan.steps import ChainStep, Step, make_steps
from caffe.runners.runner import LayerRunner

_Seen = tuple[AnyParamBlob, Memory, tuple[int, ...]]    # a blob, its memory and that one's stamp


class Planner:
    """Plans the passes of a net, which may be one of the TEST phase (is_test) or not."""

    def __init__(self, layers: Sequence[LayerRunner], is_test: bool) -> None:
        self._layers = layers
        self._is_possible = is_test and not any(layer.need_backward for layer in layers) and \
            all(blob.values.device.type == "cpu" for layer in layers
                for blob in (*layer.tops, *layer.blobs))
        self._steps: list[Step] = []
        self._chains: dict[int, ChainStep] = {}
        self._seen: list[_Seen] = []        # of the learnable blobs that were packed
        self._held: list[AnyParamBlob] = []     # those that could not be, as the user has an array
        self._visible: set[int] = set()     # ids of blobs that were read though they were hidden
        self._shown = 0                     # how many of those the plan knew
        self._choice: tuple[object, ...] = ()   # what kernels were chosen by

    def allows(self) -> bool:
        """Whether a pass through the whole net can be planned at this moment."""
        return (self._is_possible and state.allows_plan() and torch.backends.mkldnn.is_available()
                and not torch.is_autocast_enabled("cpu"))

    def run(self) -> Tensor | float:
        """A pass through the whole net; returns the weighted sum of the losses."""
        if not self._is_current():
            self._make()
        loss: Tensor | float = 0.0
        for step in self._steps:
            loss = loss + step.run()
        return loss

    def compute_hidden(self) -> None:
        """Computes all blobs that the last pass left out, before layers run by themselves."""
        for step in self._chains.values():
            if step.hidden is not None:
                step.hidden.compute()

    def _is_current(self) -> bool:
        return (self._choice == self._choices() and self._shown == len(self._visible)
                and all(blob.values is memory and memory.stamp() == stamp
                        for blob, memory, stamp in self._seen)
                and all(blob.values.is_held for blob in self._held))

    def _choices(self) -> tuple[object, ...]:
        return state.allows_winograd(), torch.get_num_threads()

    def _make(self) -> None:
        self.compute_hidden()
        unchanged = self._unchanged() if self._choice == self._choices() else {}
        found = find_chains(self._layers, self._visible)
        self._seen, self._held, self._chains = [], [], {}
        for place, chain in found.items():
            blobs = _blobs(chain)
            held = [blob for blob in blobs if blob.values.is_held]
            self._held += held
            if held:
                continue
            self._seen += [(blob, blob.values, blob.values.stamp()) for blob in blobs]
            known = unchanged.get(place)
            self._chains[place] = known if known and known.chain.places == chain.places else \
                ChainStep(chain, self._visible)
        self._steps = make_steps(self._layers, self._chains)
        self._choice, self._shown = self._choices(), len(self._visible)

    def _unchanged(self) -> dict[int, ChainStep]:
        """The steps whose learnable blobs are as they were."""
        changed = {id(blob) for blob, memory, stamp in self._seen
                   if blob.values is not memory or memory.stamp() != stamp}
        return {place: step for place, step in self._chains.items()
                if not any(id(blob) in changed for blob in _blobs(step.chain))}


def _blobs(chain: Chain) -> list[AnyParamBlob]:
    return [blob for layer in chain.layers for blob in layer.blobs]
