"""`caffe train` (Caffe: tools/caffe.cpp, train)."""
import logging
from collections.abc import Sequence

import torch

from caffe.core.errors import DeviceError
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import SolverParameter
from caffe.solvers.parameters import read_parameters
from caffe.solvers.signals import Action, SignalHandler
from caffe.solvers.solver_types import get_solver
from caffe.tools.command import Flags, UsageError
from caffe.tools.flags import gpus as gpus_of
from caffe.tools.flags import required, stages, use
from caffe.tools.workers import train_together

EFFECTS = {"stop": Action.STOP, "snapshot": Action.SNAPSHOT, "none": Action.NONE}
log = logging.getLogger("caffe")


def train(flags: Flags) -> None:
    """Trains as the flags say, on one device or on several GPUs."""
    required(flags, "solver", "to train by")
    if flags["snapshot"] and flags["weights"]:
        raise UsageError("give -snapshot to resume training or -weights to finetune, not both")
    effects = [_effect(flags, name) for name in ("sigint_effect", "sighup_effect")]
    p = _solver_parameter(flags)
    gpus = _gpus(flags, p)
    with SignalHandler(*effects) as signals:
        if len(gpus) > 1:
            train_together(p, gpus, flags["snapshot"], signals)
        else:
            use(gpus[0])
            _train_alone(p, flags["snapshot"], signals)
    log.info("Optimization Done.")


def _train_alone(p: SolverParameter, snapshot: str, signals: SignalHandler) -> None:
    solver = get_solver(p)
    solver.action = signals.requested
    if snapshot:
        log.info("Resuming from %s", snapshot)
        solver.restore(snapshot)
    log.info("Starting Optimization")
    solver.solve()


def _effect(flags: Flags, name: str) -> Action:
    if flags[name] not in EFFECTS:
        raise UsageError(f'-{name}: expected {", ".join(EFFECTS)}, got "{flags[name]}"')
    return EFFECTS[flags[name]]


def _solver_parameter(flags: Flags) -> SolverParameter:
    """The solver prototxt, with what the flags add to it."""
    p = read_parameters(flags["solver"])
    if flags["level"]:
        p.train_state.level = flags["level"]
    p.train_state.stage.extend(stages(flags))
    if flags["snapshot"] or flags["weights"]:
        p.ClearField("weights")
    if flags["weights"]:
        p.weights.append(flags["weights"])
    return p


def _gpus(flags: Flags, p: SolverParameter) -> Sequence[int | None]:
    """The numbers of the GPUs to train on, or [None] for the CPU.

    Without -gpu the solver prototxt decides: a GPU if it says solver_mode: GPU, else the CPU.
    """
    if flags["gpu"]:
        return gpus_of(flags["gpu"])
    if not p.HasField("solver_mode") or p.solver_mode == caffe_pb2.SolverParameter.CPU:
        return [None]
    if p.device_id >= torch.cuda.device_count():
        raise DeviceError(f"{flags['solver']} asks for GPU {p.device_id} (solver_mode: GPU), but "
                          f"PyTorch sees {torch.cuda.device_count()} GPUs here; write solver_mode: "
                          "CPU to use the CPU")
    return [p.device_id]
