"""The six update rules (Caffe: solvers/*_solver.cpp).

Each rule is a class with `update(slots, gradient, rate, iteration)`, which changes `slots`, the
tensors that it keeps for one learnable blob, and returns what is to be subtracted from the weights.
`gradient` already contains weight decay.
"""
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from caffe.core.blob import AnyParamBlob
from caffe.core.errors import CaffeError
from caffe.nets.builder import Learnable
from caffe.operators import ops
from caffe.proto.caffe_pb2 import SolverParameter


class Rule:
    """Base; p is the SolverParameter. slots: number of tensors kept per learnable blob."""

    slots = 1
    zero_rate_does_nothing = False

    def __init__(self, p: SolverParameter) -> None:
        self.p = p

    def update(self, slots: list[Tensor], gradient: Tensor, rate: float, iteration: int) -> Tensor:
        """What is to be subtracted from the weights; changes the slots."""
        raise NotImplementedError

    def _refuse_momentum(self, name: str) -> None:
        if self.p.momentum:
            raise CaffeError(f"solver: {name} takes no momentum, got {self.p.momentum:g}")


class SGD(Rule):
    """h = momentum * h + rate * g; w -= h. The rate is inside the momentum."""

    zero_rate_does_nothing = True

    def update(self, slots: list[Tensor], gradient: Tensor, rate: float, iteration: int) -> Tensor:
        return slots[0].mul_(self.p.momentum).add_(gradient, alpha=rate)

    def fused(self, slots: list[Tensor], weight: Tensor, gradient: Tensor, rate: float,
              decay: float) -> Tensor:
        """The update with L2 decay in one pass over memory, weights included."""
        ops.sgd_update_(weight, gradient, slots[0], rate, self.p.momentum, decay)
        return slots[0]


class Nesterov(Rule):
    """As SGD, but w -= (1 + momentum) * h - momentum * (h before)."""

    zero_rate_does_nothing = True

    def update(self, slots: list[Tensor], gradient: Tensor, rate: float, iteration: int) -> Tensor:
        momentum, before = self.p.momentum, slots[0].clone()
        after = slots[0].mul_(momentum).add_(gradient, alpha=rate)
        return (1 + momentum) * after - momentum * before


class AdaGrad(Rule):
    """h += g^2; w -= rate * g / (sqrt(h) + delta)."""

    def __init__(self, p: SolverParameter) -> None:
        super().__init__(p)
        self._refuse_momentum("AdaGrad")

    def update(self, slots: list[Tensor], gradient: Tensor, rate: float, iteration: int) -> Tensor:
        slots[0].addcmul_(gradient, gradient)
        return rate * gradient / (slots[0].sqrt() + self.p.delta)


class RMSProp(Rule):
    """h = rms_decay * h + (1 - rms_decay) * g^2; w -= rate * g / (sqrt(h) + delta)."""

    def __init__(self, p: SolverParameter) -> None:
        super().__init__(p)
        self._refuse_momentum("RMSProp")
        if not 0 <= p.rms_decay < 1:
            raise CaffeError(f"solver: expected rms_decay in [0, 1), got {p.rms_decay:g}")

    def update(self, slots: list[Tensor], gradient: Tensor, rate: float, iteration: int) -> Tensor:
        decay = self.p.rms_decay
        slots[0].mul_(decay).addcmul_(gradient, gradient, value=1 - decay)
        return rate * gradient / (slots[0].sqrt() + self.p.delta)


class AdaDelta(Rule):
    """h, u: running means (weight `momentum`) of g^2 and of the squared steps s;
    s = g * sqrt((u + delta) / (h + delta)); w -= rate * s.
    """

    slots = 2

    def update(self, slots: list[Tensor], gradient: Tensor, rate: float, iteration: int) -> Tensor:
        momentum, delta = self.p.momentum, self.p.delta
        slots[0].mul_(momentum).addcmul_(gradient, gradient, value=1 - momentum)
        step = gradient * ((slots[1] + delta) / (slots[0] + delta)).sqrt()
        slots[1].mul_(momentum).addcmul_(step, step, value=1 - momentum)
        return rate * step


class Adam(Rule):
    """m, v: running means (momentum, momentum2) of g and g^2, corrected for their start at 0."""

    slots = 2

    def update(self, slots: list[Tensor], gradient: Tensor, rate: float, iteration: int) -> Tensor:
        one, two, t = self.p.momentum, self.p.momentum2, iteration + 1
        slots[0].mul_(one).add_(gradient, alpha=1 - one)
        slots[1].mul_(two).addcmul_(gradient, gradient, value=1 - two)
        correction = (1 - two ** t) ** 0.5 / (1 - one ** t)
        return rate * correction * slots[0] / (slots[1].sqrt() + self.p.delta)


class Updater:
    """Applies a rule to all learnable blobs of a net, and keeps its slots.

    rule: a Rule; learnables: the net's Learnables.
    """

    def __init__(self, rule: Rule, learnables: Sequence[Learnable]) -> None:
        self.rule, self.learnables = rule, learnables
        self._slots: list[list[Tensor] | None] = [None] * len(learnables)   # None: all zeros

    @torch.no_grad()
    def apply(self, rate: float, iteration: int) -> None:
        """One step. The gradients of the blobs become what was subtracted, as in Caffe.

        Caffe: clip, divide by iter_size, add the decay, then the rule of the solver type.
        """
        p = self.rule.p
        scale = self._clip_factor() / p.iter_size
        for i, (blob, lr_mult, decay_mult) in enumerate(self.learnables):
            local_rate, decay = rate * lr_mult, p.weight_decay * decay_mult
            if decay and p.regularization_type not in ("L1", "L2"):
                raise CaffeError("solver: expected regularization_type L1 or L2, got "
                                 f'"{p.regularization_type}"')
            if not local_rate and self._slots[i] is None and self.rule.zero_rate_does_nothing:
                blob.gradient.unset()
                continue
            # at rate 0 momentum alone moves weights; of other rules the slots change, and no weight
            moves = bool(local_rate) or self.rule.zero_rate_does_nothing
            if moves:
                blob.values.announce_change()
            blob.gradient.set(self._step(i, blob, local_rate, decay, scale, iteration), owned=False)
            if moves:
                blob.values.touch()
            if blob.gradient.is_viewed:
                blob.gradient.settle()

    def _step(self, i: int, blob: AnyParamBlob, rate: float, decay: float, scale: float,
              iteration: int) -> Tensor:
        p, weight = self.rule.p, blob.values.get().data
        slots = self.slots(i)
        gradient = blob.top_diff()
        gradient = torch.zeros_like(weight) if gradient is None else gradient
        if isinstance(self.rule, SGD) and p.regularization_type == "L2" and scale:
            return self.rule.fused(slots, weight, gradient, rate * scale, decay / scale)
        gradient = gradient * scale
        if decay:
            gradient.add_(weight if p.regularization_type == "L2" else weight.sign(), alpha=decay)
        change = self.rule.update(slots, gradient, rate, iteration)
        weight.sub_(change)
        return change

    def _clip_factor(self) -> float:
        """The factor of all gradients that limits their norm to clip_gradients."""
        limit = self.rule.p.clip_gradients
        diffs = [blob.top_diff() for blob, *_ in self.learnables] if limit >= 0 else []
        norms = [torch.linalg.vector_norm(diff) for diff in diffs if diff is not None]
        norm = float(torch.linalg.vector_norm(torch.stack(norms))) if norms else 0.0
        return limit / norm if norm > limit >= 0 else 1.0

    # ---------------------------------------------------------------------------------- history

    def slots(self, i: int) -> list[Tensor]:
        """The tensors that the rule keeps for learnable blob i."""
        slots = self._slots[i]
        if slots is None:
            weight = self.learnables[i].blob.values.get().data
            slots = self._slots[i] = [torch.zeros_like(weight) for _ in range(self.rule.slots)]
        return slots

    def history(self) -> list[np.ndarray]:
        """All slots as arrays, in Caffe's order: the first of every blob, then the second ones."""
        return [self._array(i, k) for k in range(self.rule.slots)
                for i in range(len(self.learnables))]

    def _array(self, i: int, k: int) -> np.ndarray:
        slots = self._slots[i]
        if slots is None:
            return torch.zeros(self.learnables[i].blob.shape).numpy()
        return slots[k].cpu().contiguous().numpy()

    def load_history(self, arrays: Sequence[np.ndarray]) -> None:
        """Restores what `history` returned."""
        count = len(self.learnables)
        shapes = [learnable.blob.shape for learnable in self.learnables] * self.rule.slots
        if len(arrays) != len(shapes):
            raise CaffeError(f"expected {len(shapes)} history blobs ({count} learnable blobs, "
                             f"{self.rule.slots} each), got {len(arrays)}; is the state from "
                             "another net or solver type?")
        for i, (array, shape) in enumerate(zip(arrays, shapes)):
            if tuple(array.shape) != shape:
                raise CaffeError(f"history blob {i}: expected shape {shape}, got "
                                 f"{tuple(array.shape)}; is the state from another net?")
        for n, array in enumerate(arrays):
            k, i = divmod(n, count)
            if self._slots[i] is not None or array.any():
                self.slots(i)[k].copy_(torch.from_numpy(array.copy()))
