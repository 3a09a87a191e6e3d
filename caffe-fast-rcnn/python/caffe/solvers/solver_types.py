"""The solvers that a prototxt can name, one per update rule (pycaffe: caffe.SGDSolver, ...)."""
from caffe.core.errors import CaffeError, suggest
from caffe.core.types import FilePath
from caffe.proto.caffe_pb2 import SolverParameter
from caffe.solvers import updates
from caffe.solvers.parameters import read_parameters
from caffe.solvers.solver import Solver


class SGDSolver(Solver):
    """Stochastic gradient descent with momentum (updates.SGD)."""

    rule = updates.SGD


class NesterovSolver(Solver):
    """Nesterov's accelerated gradient (updates.Nesterov)."""

    rule = updates.Nesterov


class AdaGradSolver(Solver):
    """AdaGrad (updates.AdaGrad)."""

    rule = updates.AdaGrad


class RMSPropSolver(Solver):
    """RMSProp (updates.RMSProp)."""

    rule = updates.RMSProp


class AdaDeltaSolver(Solver):
    """AdaDelta (updates.AdaDelta)."""

    rule = updates.AdaDelta


class AdamSolver(Solver):
    """Adam (updates.Adam)."""

    rule = updates.Adam


_SOLVERS: dict[str, type[Solver]] = {
    "SGD": SGDSolver, "Nesterov": NesterovSolver, "AdaGrad": AdaGradSolver,
    "RMSProp": RMSPropSolver, "AdaDelta": AdaDeltaSolver, "Adam": AdamSolver}


def get_solver(source: FilePath | SolverParameter) -> Solver:
    """The solver of the type that the file (or SolverParameter) names."""
    p = read_parameters(source)
    if p.type not in _SOLVERS:
        raise CaffeError(f'solver: unknown type "{p.type}"{suggest(p.type, _SOLVERS)}; known: '
                         f"{', '.join(_SOLVERS)}")
    return _SOLVERS[p.type](p)
