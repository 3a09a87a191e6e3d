"""Caffe's Python interface on PyTorch.

The names are pycaffe's: Net, SGDSolver and the other solvers, Layer for Python layers on numpy (and
TensorLayer for those on tensors), io, NetSpec with layers and params, proto.caffe_pb2; draw and
coord_map are modules to be imported by name. The code lies in packages, each of which builds on
those before it: proto, core, operators, files, layer_types, runners, nets, solvers, export, tools.
"""
from caffe import io, proto
from caffe.classifier import Classifier
from caffe.core import errors, state
from caffe.core.blob import Blob
from caffe.core.errors import CaffeError
from caffe.core.logs import Timer, init_log, log
from caffe.core.main_memory import keep_freed_memory
from caffe.core.precision import precision, set_precision
from caffe.core.state import (
    TEST,
    TRAIN,
    Phase,
    set_deterministic,
    set_device,
    set_mode_cpu,
    set_mode_gpu,
    set_multiprocess,
    set_plan,
    set_random_seed,
    set_solver_count,
    set_solver_rank,
    set_tf32,
    set_winograd,
    solver_count,
    solver_rank,
)
from caffe.detector import Detector
from caffe.files import prototxt, weights
from caffe.layer_types.common.registry import layer_type_list
from caffe.net_spec import NetSpec, layers, params, to_proto
from caffe.nets.net import Net
from caffe.operators import ops
from caffe.runners.python_layer import Layer, TensorLayer
from caffe.runners.user_modules import allow_layer_module
from caffe.solvers.parallel import NCCL, has_nccl
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

keep_freed_memory()

__all__ = [
    "AdaDeltaSolver", "AdaGradSolver", "AdamSolver", "Blob", "CaffeError", "Classifier", "Detector",
    "Layer", "NCCL", "NesterovSolver", "Net", "NetSpec", "Phase", "RMSPropSolver", "SGDSolver",
    "TEST", "TRAIN", "TensorLayer", "Timer", "allow_layer_module", "errors", "get_solver",
    "has_nccl", "init_log", "io", "layer_type_list", "layers", "log", "ops", "params", "precision",
    "proto", "prototxt", "set_deterministic", "set_device", "set_mode_cpu", "set_mode_gpu",
    "set_multiprocess", "set_plan", "set_precision", "set_random_seed", "set_solver_count",
    "set_solver_rank", "set_tf32", "set_winograd", "solver_count", "solver_rank", "state",
    "to_proto", "weights",
]
