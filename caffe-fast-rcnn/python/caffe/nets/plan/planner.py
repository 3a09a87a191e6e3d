"""The plan of a net: which passes it serves, when it holds, and when it is made anew."""
from collections.abc import Sequence

import torch
from torch import Tensor

from caffe.core import state
from caffe.core.blob import AnyParamBlob
from caffe.core.memory import Memory
from caffe.nets.plan.absent import AbsentBlobs, last_uses
from caffe.nets.plan.chains import find_chains
from caffe.nets.plan.learnables import SeenBlobs
from caffe.nets.plan.steps import (
    ChainStep,
    Step,
    join_concats,
    make_steps,
    reuse_residuals,
)
from caffe.nets.plan.stretches import Entry, Stretch, make_stretches
from caffe.nets.plan.thinning import thin_tops
from caffe.runners.runner import LayerRunner

_PATIENCE = 3       # how often absent blobs are computed before a net keeps what it computes


class Planner:
    """Plans the passes of a net, which may be one of the TEST phase (is_test) or not.

    The first pass lets no blob go: those that are read after it are the ones that a program reads
    after every pass.
    """

    def __init__(self, layers: Sequence[LayerRunner], is_test: bool) -> None:
        self._layers = layers
        self._is_possible = is_test and not any(layer.need_backward for layer in layers) and \
            all(blob.values.device.type == "cpu" for layer in layers
                for blob in (*layer.tops, *layer.blobs))
        self._steps: list[Step] = []
        self._keeping: list[list[Memory]] = []      # per step: what absent blobs are computed from
        self._leaving: list[list[Memory]] = []      # per step: what nobody reads after it
        self._stretches: list[Stretch] = []        # the same, as passes go through them
        self._chains: dict[int, ChainStep] = {}
        self._seen = SeenBlobs()            # the learnable blobs that were packed
        self._held: list[AnyParamBlob] = []     # those that could not be, as the user has an array
        self._visible: set[int] = set()     # ids of the memories that were read though absent
        self._shown = 0                     # how many of those the plan knew
        self._absent = AbsentBlobs(self._visible)
        self._first: dict[int, tuple[Memory, tuple[int, ...]]] | None = None    # after that pass
        self._choice: tuple[object, ...] = ()   # what kernels were chosen by

    def allows(self) -> bool:
        """Whether a pass through the whole net can be planned at this moment."""
        return (self._is_possible and state.allows_plan() and torch.backends.mkldnn.is_available()
                and not torch.is_autocast_enabled("cpu"))

    def run(self) -> Tensor | float:
        """A pass through the whole net; returns the weighted sum of the losses."""
        self._learn()
        if not self._is_current():
            self._make()
        loss: Tensor | float = 0.0
        self._absent.is_passing = True
        try:
            for stretch in self._stretches:
                loss = loss + stretch.run()
        except BaseException:
            self._absent.forget()
            raise
        finally:
            self._absent.is_passing = False
        if self._first is None:
            self._first = {id(memory): (memory, memory.stamp()) for leaving in self._last_uses()
                           for memory in leaving}
        return loss

    def compute_absent(self) -> None:
        """Computes all blobs that the last pass left out, before layers run by themselves."""
        self._absent.compute()

    def _learn(self) -> None:
        """After the first pass: what has been read since then will be read again."""
        if self._first:
            self._visible |= {key for key, (memory, stamp) in self._first.items()
                              if memory.stamp() != stamp}
            self._first, self._choice = {}, ()

    def _is_current(self) -> bool:
        return (self._choice == self._choices() and self._shown == len(self._visible)
                and self._seen.are_unchanged()
                and all(blob.values.is_held for blob in self._held))

    def _choices(self) -> tuple[object, ...]:
        return state.allows_winograd(), torch.get_num_threads(), self._lets_go

    @property
    def _lets_go(self) -> bool:
        """Whether blobs are let go; else the pass keeps all that it computes."""
        return self._first is not None and self._absent.times < _PATIENCE

    def _make(self) -> None:
        unchanged = self._unchanged() if self._choice == self._choices() else {}
        found = find_chains(self._layers, self._visible)
        self._seen, self._held, self._chains = SeenBlobs(), [], {}
        for place, chain in found.items():
            if self._are_held(chain.layers):
                continue
            self._see(chain.layers)
            known = unchanged.get(place)
            self._chains[place] = known if known and known.chain.places == chain.places else \
                ChainStep(chain, self._absent)
        self._steps = make_steps(self._layers, self._chains)
        self._plan_absent()
        self._agree()
        self._stretches = make_stretches(
            map(Entry, self._steps, self._keeping, self._leaving), self._absent)
        self._choice, self._shown = self._choices(), len(self._visible)

    def _plan_absent(self) -> None:
        self._leaving = self._last_uses() if self._lets_go else [[] for _ in self._steps]
        hidden = [step.hidden for step in self._chains.values()]
        absent = {id(memory): memory for group in (*hidden, *self._leaving) for memory in group}
        keeps, repeated = self._absent.plan(self._layers, absent, copies=not self._lets_go)
        numbers = {id(layer): number for number, step in enumerate(self._steps)
                   for layer in step.layers}
        self._keeping = [[] for _ in self._steps]
        for place, memories in keeps.items():
            self._keeping[numbers[id(self._layers[place])]] += memories
        self._see(repeated)

    def _agree(self) -> None:
        """Tells the steps which of their blobs leave, so that these need not be made as they are.
        """
        for step in self._chains.values():
            step.stand_alone()
        thin_tops(self._steps, {id(memory) for group in self._leaving for memory in group})
        reuse_residuals(self._steps, self._leaving)
        self._steps = join_concats(self._steps, self._leaving)

    def _last_uses(self) -> list[list[Memory]]:
        """Per step: the memories that no later one reads, and that it may let go."""
        kept = {id(memory) for step in self._chains.values() for memory in step.hidden}
        kept |= self._visible
        uses = last_uses(self._layers, [step.layers for step in self._steps], kept)
        return [uses.get(number, []) for number in range(len(self._steps))]

    def _are_held(self, layers: Sequence[LayerRunner]) -> bool:
        """Whether the user has an array of a learnable blob; notes of which."""
        held = [blob for layer in layers for blob in layer.blobs if blob.values.is_held]
        self._held += held
        return bool(held)

    def _see(self, layers: Sequence[LayerRunner]) -> None:
        for layer in layers:
            for blob in layer.blobs:
                self._seen.add(blob)

    def _unchanged(self) -> dict[int, ChainStep]:
        """The steps whose learnable blobs are as they were."""
        changed = self._seen.changed()
        return {place: step for place, step in self._chains.items()
                if not any(id(blob) in changed for layer in step.layers for blob in layer.blobs)}
