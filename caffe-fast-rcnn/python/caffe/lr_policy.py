"""Learning rate policies (Caffe: SGDSolver::GetLearningRate). p is the SolverParameter."""
import math

from .errors import CaffeError, suggest


def _fixed(p, iteration, step):
    return p.base_lr


def _stairs(p, iteration, step):
    return p.base_lr * p.gamma ** step


def _exp(p, iteration, step):
    return p.base_lr * p.gamma ** iteration


def _inv(p, iteration, step):
    return p.base_lr * (1 + p.gamma * iteration) ** -p.power


def _poly(p, iteration, step):
    return p.base_lr * max(0.0, 1 - iteration / p.max_iter) ** p.power


def _sigmoid(p, iteration, step):
    return p.base_lr / (1 + math.exp(min(700.0, -p.gamma * (iteration - p.stepsize))))


_POLICIES = {"fixed": _fixed, "step": _stairs, "multistep": _stairs, "exp": _exp, "inv": _inv,
             "poly": _poly, "sigmoid": _sigmoid}
_NEEDED = {"step": ("stepsize",), "sigmoid": ("stepsize",), "poly": ("max_iter",)}


def learning_rate(p, iteration, current_step):
    """(rate, current step) of an iteration; current_step is the one of the iteration before.

    `step` counts whole stepsizes; `multistep` goes at most one stepvalue further per iteration.
    """
    if p.lr_policy not in _POLICIES:
        raise CaffeError(f'solver: unknown lr_policy "{p.lr_policy}"'
                         f"{suggest(p.lr_policy, _POLICIES)}; known: {', '.join(_POLICIES)}")
    for field in _NEEDED.get(p.lr_policy, ()):
        if getattr(p, field) <= 0:
            raise CaffeError(f'solver: lr_policy "{p.lr_policy}" needs {field} > 0, got '
                             f"{getattr(p, field) if p.HasField(field) else 'none'}")
    if p.lr_policy == "step":
        current_step = iteration // p.stepsize
    elif p.lr_policy == "multistep":
        if current_step < len(p.stepvalue) and iteration >= p.stepvalue[current_step]:
            current_step += 1
    return _POLICIES[p.lr_policy](p, iteration, current_step), current_step
