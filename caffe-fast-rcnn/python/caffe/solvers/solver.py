"""Solvers: they train nets (pycaffe: caffe.SGDSolver and the others).

    solver = caffe.SGDSolver("solver.prototxt")
    solver.net.copy_from("pretrained.caffemodel")
    solver.step(100)

As in pycaffe the paths in a solver file are relative to the current folder; the class decides the
type (`get_solver` takes the file's); and only the command line reads `solver_mode`: otherwise nets
compute where caffe.set_mode_cpu or set_mode_gpu says.
"""
import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from caffe.core import state
from caffe.core.types import FilePath
from caffe.nets.net import Net
from caffe.proto.caffe_pb2 import SolverParameter
from caffe.solvers import updates
from caffe.solvers.lr_policy import PolicyState, advance, learning_rate
from caffe.solvers.parameters import (
    check_before_training,
    check_snapshot_prefix,
    read_parameters,
)
from caffe.solvers.reports import RecentLosses, log_outputs
from caffe.solvers.signals import Action
from caffe.solvers.snapshots import (
    exact_state,
    load_exact_state,
    restore_snapshot,
    write_snapshot,
)
from caffe.solvers.solver_nets import make_test_nets, make_train_net
from caffe.solvers.testing import test_net

log = logging.getLogger("caffe")


class Solver:
    """Base of the solvers; source: a path or a SolverParameter.

    Attributes:
      net, test_nets   the nets
      iter             number of updates so far
      param            the SolverParameter; changes take effect at once
      action           called after each iteration; returns a signals.Action, which is then done
      updater          the update rule, with its history of each learnable blob
      policy_state     the state of the learning rate policy; losses: the RecentLosses

    Of several solvers that train together only rank 0 tests, logs and writes snapshots.
    """

    rule = updates.Rule

    def __init__(self, source: FilePath | SolverParameter) -> None:
        self.param = read_parameters(source)
        if self.param.snapshot and state.solver_rank() == 0:
            check_snapshot_prefix(self.param)
        rule = self.rule(self.param)
        if self.param.random_seed >= 0:
            state.set_random_seed(self.param.random_seed + state.solver_rank())
        self.net = make_train_net(self.param, lambda: self.iter)
        for paths in self.param.weights:
            for path in paths.split(","):
                self.net.copy_from(path.strip())
        self.test_nets = make_test_nets(self.param)
        self.iter = 0
        self.updater = updates.Updater(rule, self.net.learnables)
        self.policy_state = PolicyState()
        self.action = lambda: Action.NONE
        self._stopped = False
        self._callbacks: list[tuple[Callable[[], object], Callable[[], object]]] = []
        self.losses = RecentLosses(max(1, self.param.average_loss))

    @property
    def lr(self) -> float:
        """The learning rate of the next update."""
        return learning_rate(self.param, self.iter, self.policy_state.current_step)[0]

    @property
    def last_loss(self) -> float:
        """The loss of the last iteration, a mean over iter_size passes; NaN before the first."""
        return self.losses.last

    @property
    def smoothed_loss(self) -> float:
        """The mean loss of the last `average_loss` iterations; NaN before the first."""
        return self.losses.mean

    def add_callback(self, on_start: Any,
                     on_gradients_ready: Callable[[], object] | None = None) -> None:
        """Calls on_start before every iteration and on_gradients_ready before its update.

        Instead of two functions it may get one object with two such methods, as a caffe.NCCL.
        """
        if on_gradients_ready is None:
            on_start, on_gradients_ready = on_start.on_start, on_start.on_gradients_ready
        self._callbacks.append((on_start, on_gradients_ready))

    # --------------------------------------------------------------------------------- training

    def solve(self, state_file: FilePath | None = None) -> None:
        """Trains up to max_iter, from a solver state if given, and writes the last snapshot."""
        p = self.param
        log.info("Solving %s", self.net.name)
        log.info("Learning Rate Policy: %s", p.lr_policy)
        check_before_training(p)
        if p.snapshot_after_train and state.solver_rank() == 0:
            check_snapshot_prefix(p)
        if state_file is not None:
            self.restore(state_file)
        self.step(p.max_iter - self.iter)
        if state.solver_rank():
            return
        if p.snapshot_after_train and (not p.snapshot or self.iter % p.snapshot):
            self.snapshot()
        if self._stopped:
            log.info("Optimization stopped early.")
            return
        if p.display and self.iter % p.display == 0:
            self.losses.add(self.net.run_forward(record=False))
            log.info("Iteration %d, loss = %.6g", self.iter, self.smoothed_loss)
        if p.test_interval and self.iter % p.test_interval == 0:
            self.test_all()
        log.info("Optimization Done.")

    def step(self, n: int) -> None:
        """Trains for n iterations, or until `action` asks for a stop."""
        self._stopped = False
        check_before_training(self.param)
        for _ in range(n):
            self._iterate()
            action = self.action()
            periodic = self.param.snapshot and self.iter % self.param.snapshot == 0
            if (periodic or action == Action.SNAPSHOT) and state.solver_rank() == 0:
                self.snapshot()
            if action == Action.STOP:
                self._stopped = True
                break

    def _iterate(self) -> None:
        p = self.param
        self.net.clear_param_diffs()
        if p.test_interval and self.iter % p.test_interval == 0 and (
                self.iter or p.test_initialization) and state.solver_rank() == 0:
            self.test_all()
        for on_start, _ in self._callbacks:
            on_start()
        loss: Any = 0.0
        for _ in range(p.iter_size):
            loss = loss + self.net.run_forward()
            self.net.run_backward()
        self.losses.add(loss / p.iter_size)
        if p.display and self.iter % p.display == 0:
            log.info("Iteration %d, loss = %.6g", self.iter, self.smoothed_loss)
            log_outputs("Train", self.net,
                        {name: self.net.blobs[name].data for name in self.net.outputs})
        for _, on_gradients_ready in self._callbacks:
            on_gradients_ready()
        self.apply_update()

    def apply_update(self) -> None:
        """Updates the weights by the present gradients, and counts the iteration."""
        rate, self.policy_state = advance(self.param, self.iter, self.policy_state,
                                       lambda: self.smoothed_loss)
        if self.param.display and self.iter % self.param.display == 0:
            log.info("Iteration %d, lr = %.6g", self.iter, rate)
        self.updater.apply(rate, self.iter)
        self.iter += 1

    # ---------------------------------------------------------------------------------- testing

    def test_all(self) -> None:
        """Tests all test nets with the weights of the training net."""
        for i in range(len(self.test_nets)):
            self.test(i)

    def test(self, index: int) -> dict[str, np.ndarray]:
        """A test net's results over its test_iter passes, as eval_type says (see test_net).

        Returns {output name: array}.
        """
        net, passes = self.test_nets[index], self.param.test_iter[index]
        if not passes:
            return {}
        log.info("Iteration %d, Testing net (#%d)", self.iter, index)
        net.share_with(self.net)
        return test_net(net, passes, self.param)

    def share_weights(self, net: Net) -> None:
        """Shares the trained weights with another net."""
        net.share_with(self.net)

    # -------------------------------------------------------------------------------- snapshots

    def snapshot(self) -> tuple[str, str]:
        """Writes <snapshot_prefix>_iter_<iter>.caffemodel and .solverstate (each with .h5 if
        snapshot_format is HDF5); returns both paths.
        """
        return write_snapshot(self)

    def restore(self, path: FilePath) -> None:
        """Continues from a .solverstate (binary or HDF5), with the weights that it names."""
        restore_snapshot(self, path)

    def state_dict(self) -> dict[str, np.ndarray]:
        """All that training depends on here, as arrays: what an exact continuation needs."""
        return exact_state(self)

    def load_state_dict(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Continues from what `state_dict` gave; CaffeError when it belongs to another net."""
        load_exact_state(self, arrays)
