"""The names that pycaffe has in its compiled module (`from caffe._caffe import Net`).

What is a Boost vector there is a list here: indexing, len, iteration and append are the same.
"""
from caffe.core.blob import Blob, BlobVec
from caffe.core.logs import Timer, init_log, log
from caffe.core.state import (
    set_device,
    set_mode_cpu,
    set_mode_gpu,
    set_multiprocess,
    set_random_seed,
    set_solver_count,
    set_solver_rank,
    solver_count,
    solver_rank,
)
from caffe.layer_types.common.registry import layer_type_list
from caffe.nets.net import Net
from caffe.runners.python_layer import Layer
from caffe.solvers.parallel import NCCL, has_nccl
from caffe.solvers.solver import Solver
from caffe.solvers.solver_types import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
    get_solver,
)

__version__ = "1.0.0"
RawBlobVec = LayerVec = NetVec = IntVec = StringVec = BoolVec = DtypeVec = list

__all__ = [
    "AdaDeltaSolver", "AdaGradSolver", "AdamSolver", "Blob", "BlobVec", "BoolVec", "DtypeVec",
    "IntVec", "Layer", "LayerVec", "NCCL", "NesterovSolver", "Net", "NetVec", "RMSPropSolver",
    "RawBlobVec", "SGDSolver", "Solver", "StringVec", "Timer", "get_solver", "has_nccl", "init_log",
    "layer_type_list", "log", "set_device", "set_mode_cpu", "set_mode_gpu", "set_multiprocess",
    "set_random_seed", "set_solver_count", "set_solver_rank", "solver_count", "solver_rank",
]
