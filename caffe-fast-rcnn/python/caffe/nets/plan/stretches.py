"""Stretches of a plan: steps one after the other that run as one.

A stretch of built-in layers records no gradients, runs none of the user's code, and does the same
for all bottoms of one shape. So the operators that it calls are recorded, and from then on called
again without Python in between (recording.py), which saves a tenth of a small net's time.
"""
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from caffe.core.memory import Memory
from caffe.nets.plan.absent import AbsentBlobs
from caffe.nets.plan.pure import is_pure
from caffe.nets.plan.recording import Recorder, Replay
from caffe.nets.plan.steps import ChainStep, JoinStep, Step


class Entry(NamedTuple):
    """A step, the memories that are kept behind it, and those that are let go."""

    step: Step
    keeping: list[Memory]
    leaving: list[Memory]


class Stretch:
    """Steps one after the other."""

    def __init__(self, entries: list[Entry], absent: AbsentBlobs) -> None:
        self._entries, self._absent = entries, absent

    def run(self) -> Tensor | float:
        """Runs the steps; returns what they add to the objective."""
        loss: Tensor | float = 0.0
        for step, keeping, leaving in self._entries:
            loss = loss + step.run()
            for memory in keeping:
                self._absent.keep(memory)
            for memory in leaving:
                self._absent.let_go(memory)
        return loss


class _Top(NamedTuple):
    """What a replay sets, and how (see Memory)."""

    memory: Memory
    owned: bool
    fresh: bool


class KnownStretch(Stretch):
    """Steps of built-in layers, of which at most the last has something to keep behind it.

    They run one by one for bottoms of new shapes, are recorded when the next ones have the same,
    and then replayed, as long as nobody has the array or the tensor of a blob that is let go.
    What Python would decide anew in each pass is part of `forms`, or prevents the replay.
    """

    def __init__(self, entries: list[Entry], absent: AbsentBlobs) -> None:
        super().__init__([entry._replace(keeping=[]) for entry in entries], absent)
        steps = [entry.step for entry in entries]
        self._keeping = entries[-1].keeping
        self._leaving = [memory for entry in entries for memory in entry.leaving]
        self._bottoms = _read_from_outside(steps)
        self._changing = list({id(memory): memory for memory in (
            *(blob.values for step in steps for layer in step.layers for blob in layer.tops),
            *self._leaving)}.values())
        self._is_whole = len(steps) > 1 and _keeps_to_itself(steps)
        self._made_for: list[tuple] = []
        self._can_be_recorded = True        # for these bottoms
        self._replay: Replay | None = None
        self._tops: list[_Top] = []
        self._left_out: list[tuple[Memory, torch.Size | tuple[int, ...]]] = []

    def run(self) -> float:
        """Runs, records or replays the steps, which have no losses."""
        with torch._C._AutoDispatchBelowAutograd():     # half of a small map's time
            if self._is_whole:
                self._run_or_replay()
            else:
                super().run()
            for memory in self._keeping:
                self._absent.keep(memory)
        return 0.0

    def _run_or_replay(self) -> None:
        bottoms = [memory.as_is() for memory in self._bottoms]
        forms = [(x.shape, x.stride(), x.dtype, memory.fresh)
                 for x, memory in zip(bottoms, self._bottoms)]
        if forms != self._made_for:
            self._made_for, self._replay, self._can_be_recorded = forms, None, True
            super().run()
        elif not self._can_be_recorded or any(memory.is_held or memory.is_lent
                                              for memory in self._leaving):
            super().run()
        elif self._replay is None:
            self._record(bottoms)
        else:
            self._run_again(self._replay, bottoms)

    def _record(self, bottoms: list[Tensor]) -> None:
        recorder = Recorder(bottoms)
        with recorder:
            super().run()
        known = [memory for memory in self._changing if not memory.is_deferred]
        # a bottom in bfloat16 becomes float32 once a layer asks for that
        known += [memory for memory, x in zip(self._bottoms, bottoms)
                  if memory not in self._changing and memory.as_is() is not x]
        self._tops = [_Top(memory, memory.owned, memory.fresh) for memory in known]
        self._left_out = [(memory, memory.shape) for memory in self._changing
                          if memory.is_deferred]
        self._replay = recorder.replay_of([memory.as_is() for memory in known])
        self._can_be_recorded = self._replay is not None

    def _run_again(self, replay: Replay, bottoms: list[Tensor]) -> None:
        for top, tensor in zip(self._tops, replay(bottoms)):
            top.memory.set(tensor, owned=top.owned)
            top.memory.fresh = top.fresh
        for memory, shape in self._left_out:
            self._absent.leave_out(memory, shape)


def make_stretches(entries: Iterable[Entry], absent: AbsentBlobs) -> list[Stretch]:
    """As few stretches as there can be."""
    stretches: list[Stretch] = []
    for is_known, group in itertools.groupby(entries, lambda entry: _is_known(entry.step)):
        make: Callable[..., Stretch] = KnownStretch if is_known else Stretch
        stretches += [make(part, absent) for part in _parts(group)]
    return stretches


def _is_known(step: Step) -> bool:
    """Whether a step is of built-in layers, whose learnable blobs the planner keeps an eye on."""
    return isinstance(step, ChainStep) or (is_pure(step.layer) and not step.layer.blobs)


def _parts(entries: Iterable[Entry]) -> list[list[Entry]]:
    """The entries, divided behind those that keep something."""
    parts: list[list[Entry]] = [[]]
    for entry in entries:
        parts[-1].append(entry)
        if entry.keeping:
            parts.append([])
    return [part for part in parts if part]


def _read_from_outside(steps: Iterable[Step]) -> list[Memory]:
    """The memories that the steps read before one of them has made them."""
    found: dict[int, Memory] = {}
    made: set[int] = set()
    for step in steps:
        for layer in step.layers:
            for blob in layer.bottoms:
                if id(blob.values) not in made:
                    found[id(blob.values)] = blob.values
            made |= {id(blob.values) for blob in layer.tops}
    return list(found.values())


def _keeps_to_itself(steps: list[Step]) -> bool:
    """Whether the steps share tensors that are no blob's with each other alone: thinned tops
    (thinning.py), and tops of Concats that are written part by part (joining.py)."""
    chains = [step for step in steps if isinstance(step, ChainStep)]
    thinned = {id(step) for step in chains if step.thinning > 1}
    ended = {id(step.source) for step in chains if step.source is not None and step.is_last}
    read = {id(step.source) for step in chains if step.source is not None}
    written = Counter(id(step.slot.joint) for step in chains if step.slot is not None)
    joined = {id(step.joint): len(step.parts) for step in steps if isinstance(step, JoinStep)}
    return thinned == ended == read and written == joined
