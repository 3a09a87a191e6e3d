"""The nets of a solver (Caffe: Solver::InitTrainNet, InitTestNets)."""
import os
from collections.abc import Callable

from caffe.core.errors import CaffeError
from caffe.core.state import Phase
from caffe.files import prototxt
from caffe.nets.arguments import folder_of
from caffe.nets.debug import log_passes
from caffe.nets.net import Net
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import NetParameter, NetState, SolverParameter

_TRAIN_FIELDS = ("net", "net_param", "train_net", "train_net_param")


def make_train_net(p: SolverParameter, iteration: Callable[[], int]) -> Net:
    """The training net, from the one field of SolverParameter p that names it.

    iteration: a function that returns the current one; with p's debug_info the net logs its passes
    in the iterations that are displayed. The net's own debug_info is ignored, as in Caffe.
    """
    given = [field for field in _TRAIN_FIELDS if p.HasField(field)]
    if len(given) != 1:
        raise CaffeError(f"solver: expected one of {', '.join(_TRAIN_FIELDS)}, got "
                         f"{' and '.join(given) or 'none'}")
    message = caffe_pb2.NetParameter()
    message.CopyFrom(_message(getattr(p, given[0])))
    message.ClearField("debug_info")
    net = _make_net(message, Phase.TRAIN, p.train_state, folder_of(getattr(p, given[0])))
    if p.debug_info:
        log_passes(net, lambda: p.display and iteration() % p.display == 0)
    return net


def make_test_nets(p: SolverParameter) -> list[Net]:
    """The test nets: those in test_net_param, in test_net, then the common net once for each
    test_iter that is left.
    """
    sources = [*p.test_net_param, *p.test_net]
    common = [getattr(p, field) for field in ("net_param", "net") if p.HasField(field)]
    left = len(p.test_iter) - len(sources)
    if left < 0 or (left and not common):
        raise CaffeError(f"solver: expected a test_iter number for each of the {len(sources)} test "
                         f"nets, got {len(p.test_iter)}")
    sources += common * left
    if p.test_state and len(p.test_state) != len(sources):
        raise CaffeError(f"solver: expected a test_state for each of the {len(sources)} test nets "
                         f"or none, got {len(p.test_state)}")
    if sources and p.test_interval <= 0:
        raise CaffeError("solver: expected test_interval > 0 for the test nets, got none")
    states = list(p.test_state) or [caffe_pb2.NetState()] * len(sources)
    return [_make_net(_message(source), Phase.TEST, extra, folder_of(source))
            for source, extra in zip(sources, states)]


def _message(source: str | NetParameter) -> NetParameter:
    return prototxt.read_net(os.fspath(source)) if isinstance(source, str) else source


def _make_net(message: NetParameter, phase: Phase, extra: NetState, folder: str | None) -> Net:
    """A net whose state is the phase, what the net itself says, and what the solver adds."""
    state = caffe_pb2.NetState(phase=phase)
    state.MergeFrom(message.state)
    state.MergeFrom(extra)
    stated = caffe_pb2.NetParameter()
    stated.CopyFrom(message)
    stated.ClearField("state")
    return Net(stated, Phase(state.phase), level=state.level, stages=list(state.stage),
               folder=folder)
