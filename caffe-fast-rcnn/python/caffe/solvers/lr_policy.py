"""Learning rate policies (Caffe: SGDSolver::GetLearningRate). p is the SolverParameter."""
import logging
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from caffe.core.errors import CaffeError, suggest
from caffe.proto.caffe_pb2 import SolverParameter

log = logging.getLogger("caffe")


class PolicyState(NamedTuple):
    """What the policies remember from one iteration to the next."""

    current_step: int = 0
    minimum_loss: float = 1e38      # plateau: the lowest averaged loss ...
    iter_last_event: int = 0        # ... and the iteration of that, or of the last step

    def plateau(self, p: SolverParameter) -> tuple[float, int] | None:
        """(minimum_loss, iter_last_event); None unless the policy is plateau."""
        return self[1:] if p.lr_policy == "plateau" else None

    def as_arrays(self) -> dict[str, np.ndarray]:
        """{name: array}"""
        return {name: np.array(value) for name, value in self._asdict().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "PolicyState":
        """The inverse of `as_arrays`; older versions wrote the current step alone."""
        return cls(**{name: np.asarray(arrays[name]).item() for name in cls._fields
                      if name in arrays})


def _fixed(p: SolverParameter, iteration: int, step: int) -> float:
    return p.base_lr


def _stairs(p: SolverParameter, iteration: int, step: int) -> float:
    return p.base_lr * p.gamma ** step


def _exp(p: SolverParameter, iteration: int, step: int) -> float:
    return p.base_lr * p.gamma ** iteration


def _inv(p: SolverParameter, iteration: int, step: int) -> float:
    return p.base_lr * (1 + p.gamma * iteration) ** -p.power


def _poly(p: SolverParameter, iteration: int, step: int) -> float:
    return p.base_lr * max(0.0, 1 - iteration / p.max_iter) ** p.power


def _sigmoid(p: SolverParameter, iteration: int, step: int) -> float:
    return p.base_lr / (1 + math.exp(min(700.0, -p.gamma * (iteration - p.stepsize))))


_POLICIES = {"fixed": _fixed, "step": _stairs, "multistep": _stairs, "exp": _exp, "inv": _inv,
             "poly": _poly, "sigmoid": _sigmoid, "plateau": _stairs}
_NEEDED = {"step": ("stepsize",), "sigmoid": ("stepsize",), "poly": ("max_iter",)}


def check_policy_name(p: SolverParameter, origin: str) -> None:
    """Raises a CaffeError for an unknown policy; origin: the file, for the message."""
    if p.lr_policy not in _POLICIES:
        raise CaffeError(f'{origin}: unknown lr_policy "{p.lr_policy}"'
                         f"{suggest(p.lr_policy, _POLICIES)}; known: {', '.join(_POLICIES)}")


def check_policy(p: SolverParameter, origin: str = "solver") -> None:
    """Raises a CaffeError for an unknown policy, or one that lacks an option."""
    check_policy_name(p, origin)
    for field in _NEEDED.get(p.lr_policy, ()):
        if getattr(p, field) <= 0:
            raise CaffeError(f'{origin}: lr_policy "{p.lr_policy}" needs {field} > 0, got '
                             f"{getattr(p, field) if p.HasField(field) else 'none'}")
    sizes = list(p.plateau_winsize)
    if p.lr_policy == "plateau" and min(sizes, default=0) < 1:
        raise CaffeError(f'{origin}: lr_policy "plateau" needs plateau_winsize, each > 0, got '
                         f"{sizes or 'none'}")


def advance(p: SolverParameter, iteration: int, state: PolicyState,
            averaged_loss: Callable[[], float]) -> tuple[float, PolicyState]:
    """(rate, PolicyState) of an iteration, from the PolicyState of the one before.

    averaged_loss: a function that returns the mean of the last `average_loss` losses; called by the
    policy plateau only.
    """
    if p.lr_policy == "plateau":
        state = _watch_plateau(p, iteration, state, averaged_loss())
    rate, step = learning_rate(p, iteration, state.current_step)
    return rate, state._replace(current_step=step)


def _watch_plateau(p: SolverParameter, iteration: int, state: PolicyState,
                   loss: float) -> PolicyState:
    """PVANet: a step when the loss had no new minimum for plateau_winsize[step] iterations."""
    if loss < state.minimum_loss:
        state = state._replace(minimum_loss=loss, iter_last_event=iteration)
    step = state.current_step
    if step < len(p.plateau_winsize) \
            and iteration >= state.iter_last_event + p.plateau_winsize[step]:
        log.info("Plateau Status: Iteration %d, step = %d, minimum_loss = %.6g", iteration,
                 step + 1, state.minimum_loss)
        return state._replace(current_step=step + 1, iter_last_event=iteration)
    return state


def learning_rate(p: SolverParameter, iteration: int, current_step: int) -> tuple[float, int]:
    """(rate, current step) of an iteration; current_step is the one of the iteration before.

    `step` counts whole stepsizes; `multistep` advances by at most one stepvalue per iteration.
    """
    check_policy(p)
    if p.lr_policy == "step":
        current_step = iteration // p.stepsize
    elif p.lr_policy == "multistep":
        if current_step < len(p.stepvalue) and iteration >= p.stepvalue[current_step]:
            current_step += 1
    return _POLICIES[p.lr_policy](p, iteration, current_step), current_step
