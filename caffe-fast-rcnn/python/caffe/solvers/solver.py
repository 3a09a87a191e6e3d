"""Solvers: they train nets (pycaffe: caffe.SGDSolver and the others).

    solver = caffe.SGDSolver("solver.prototxt")
    solver.net.copy_from("pretrained.caffemodel")
    solver.step(100)

As in pycaffe the paths in a solver file count from the current folder, the class alone decides the
type (`get_solver` goes by the file), and `solver_mode` is left to the command line: nets compute
where caffe.set_mode_cpu or set_mode_gpu says.
"""
import copy
import logging
import os

import numpy as np

from caffe.core import state
from caffe.core.errors import CaffeError, WeightsError, suggest
from caffe.files import prototxt, weights
from caffe.files.upgrade import upgrade_solver
from caffe.proto import caffe_pb2
from caffe.solvers import updates
from caffe.solvers.lr_policy import PolicyState, advance, learning_rate
from caffe.solvers.reports import RecentLosses, log_outputs
from caffe.solvers.signals import Action
from caffe.solvers.solver_nets import make_test_nets, make_train_net

log = logging.getLogger("caffe")


class Solver:
    """Base of the solvers; source: a path or a SolverParameter.

    Attributes:
      net, test_nets   the nets
      iter             how often the weights have been updated
      param            the SolverParameter; changes take effect at once
      action           called after each iteration; the signals.Action that it returns is done

    Of solvers that train together only the one of rank 0 tests, reports and writes snapshots.
    """

    rule = updates.Rule

    def __init__(self, source):
        self.param = _read(source)
        rule = self.rule(self.param)
        if self.param.random_seed >= 0:
            state.set_random_seed(self.param.random_seed + state.solver_rank())
        self.net = make_train_net(self.param, lambda: self.iter)
        for paths in self.param.weights:
            for path in paths.split(","):
                self.net.copy_from(path.strip())
        self.test_nets = make_test_nets(self.param)
        self.iter = 0
        self._updater = updates.Updater(rule, self.net.learnables)
        self._policy_state = PolicyState()
        self.action = lambda: Action.NONE
        self._stopped = False
        self._callbacks = []
        self._losses = RecentLosses(max(1, self.param.average_loss))

    @property
    def lr(self):
        """The learning rate of the next update."""
        return learning_rate(self.param, self.iter, self._policy_state.current_step)[0]

    @property
    def last_loss(self):
        """The loss of the last iteration, a mean over iter_size passes; NaN before the first."""
        return self._losses.last

    @property
    def smoothed_loss(self):
        """The mean loss of the last `average_loss` iterations; NaN before the first."""
        return self._losses.mean

    def add_callback(self, on_start, on_gradients_ready=None):
        """Calls the two without arguments in every iteration: before it, and before its update.

        One argument, such as a caffe.NCCL, is an object with two methods of these names.
        """
        if on_gradients_ready is None:
            on_start, on_gradients_ready = on_start.on_start, on_start.on_gradients_ready
        self._callbacks.append((on_start, on_gradients_ready))

    # --------------------------------------------------------------------------------- training

    def solve(self, state_file=None):
        """Trains up to max_iter, from a solver state if given, and writes the last snapshot."""
        p = self.param
        log.info("Solving %s", self.net.name)
        log.info("Learning Rate Policy: %s", p.lr_policy)
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
            self._losses.add(self.net.run_forward(record=False))
            log.info("Iteration %d, loss = %.6g", self.iter, self.smoothed_loss)
        if p.test_interval and self.iter % p.test_interval == 0:
            self.test_all()
        log.info("Optimization Done.")

    def step(self, n):
        """Trains for n iterations, or until `action` asks for a stop."""
        self._stopped = False
        for _ in range(n):
            self._iterate()
            action = self.action()
            periodic = self.param.snapshot and self.iter % self.param.snapshot == 0
            if (periodic or action == Action.SNAPSHOT) and state.solver_rank() == 0:
                self.snapshot()
            if action == Action.STOP:
                self._stopped = True
                break

    def _iterate(self):
        p = self.param
        self.net.clear_param_diffs()
        if p.test_interval and self.iter % p.test_interval == 0 and (
                self.iter or p.test_initialization) and state.solver_rank() == 0:
            self.test_all()
        for on_start, _ in self._callbacks:
            on_start()
        loss = 0.0
        for _ in range(p.iter_size):
            loss = loss + self.net.run_forward()
            self.net.run_backward()
        self._losses.add(loss / p.iter_size)
        if p.display and self.iter % p.display == 0:
            log.info("Iteration %d, loss = %.6g", self.iter, self.smoothed_loss)
            log_outputs("Train", self.net,
                        {name: self.net.blobs[name].data for name in self.net.outputs})
        for _, on_gradients_ready in self._callbacks:
            on_gradients_ready()
        self.apply_update()

    def apply_update(self):
        """Updates the weights from the gradients that are there, and counts the iteration."""
        rate, self._policy_state = advance(self.param, self.iter, self._policy_state,
                                       lambda: self.smoothed_loss)
        if self.param.display and self.iter % self.param.display == 0:
            log.info("Iteration %d, lr = %.6g", self.iter, rate)
        self._updater.apply(rate, self.iter)
        self.iter += 1

    # ---------------------------------------------------------------------------------- testing

    def test_all(self):
        """Tests all test nets with the weights of the training net."""
        for i in range(len(self.test_nets)):
            self.test(i)

    def test(self, index):
        """Means of a test net's outputs over its test_iter passes, logged and returned.

        Returns {output name: array}.
        """
        net, passes = self.test_nets[index], self.param.test_iter[index]
        log.info("Iteration %d, Testing net (#%d)", self.iter, index)
        net.share_with(self.net)
        sums, loss = {}, 0.0
        for _ in range(passes):
            loss += float(net.run_forward(record=False))
            for name in net.outputs:
                sums[name] = sums.get(name, 0) + net.blobs[name].data.astype(np.float64)
        means = {name: total / passes for name, total in sums.items()}
        if self.param.test_compute_loss:
            log.info("Test loss: %.6g", loss / passes)
        log_outputs("Test", net, means)
        return means

    def share_weights(self, net):
        """Gives a net the memory of the weights that are trained here."""
        net.share_with(self.net)

    # -------------------------------------------------------------------------------- snapshots

    def snapshot(self):
        """Writes <snapshot_prefix>_iter_<iter>.caffemodel and .solverstate (each with .h5 if
        snapshot_format is HDF5); returns both paths.
        """
        if not self.param.snapshot_prefix:
            raise CaffeError("solver: a snapshot needs a snapshot_prefix, got none")
        stem = f"{self.param.snapshot_prefix}_iter_{self.iter}"
        hdf5 = self.param.snapshot_format == caffe_pb2.SolverParameter.HDF5
        model, history = (f"{stem}.{kind}{'.h5' if hdf5 else ''}"
                          for kind in ("caffemodel", "solverstate"))
        log.info("Snapshotting to %s file %s", "HDF5" if hdf5 else "binary proto", model)
        (self.net.save_hdf5 if hdf5 else self.net.save)(model, self.param.snapshot_diff)
        log.info("Snapshotting solver state to %s file %s", "HDF5" if hdf5 else "binary proto",
                 history)
        weights.write_state(history, self.iter, model, self._policy_state.current_step,
                            self._updater.history(), self._policy_state.plateau(self.param))
        return model, history

    def restore(self, path):
        """Continues from a .solverstate (binary or HDF5), with the weights of the net it names."""
        saved = weights.read_state(os.fspath(path))
        try:
            self._updater.load_history(saved.history)
        except CaffeError as problem:
            raise WeightsError(f"{path}: {problem}") from None
        if saved.learned_net:
            self.net.copy_from(saved.learned_net)
        self.iter = saved.iter
        self._policy_state = PolicyState(saved.current_step, *saved.plateau or ())

    def state_dict(self):
        """All that training depends on here, as arrays: what an exact continuation needs."""
        arrays = {"iter": np.array(self.iter), **self._policy_state.as_arrays()}
        for i, learnable in enumerate(self.net.learnables):
            arrays[f"param/{i}"] = learnable.blob.tensor.detach().cpu().numpy().copy()
        for i, array in enumerate(self._updater.history()):
            arrays[f"history/{i}"] = array.copy()
        arrays["losses"] = np.array(self._losses.values(), dtype=np.float64)
        return arrays

    def load_state_dict(self, arrays):
        """Continues from what `state_dict` gave; CaffeError when it is another net's."""
        blobs = [learnable.blob for learnable in self.net.learnables]
        params = _numbered(arrays, "param")
        if [array.shape for array in params] != [blob.shape for blob in blobs]:
            raise CaffeError("the state does not fit the net: expected learnable blobs of shape "
                             f"{[blob.shape for blob in blobs]}, got "
                             f"{[array.shape for array in params]}")
        self._updater.load_history(_numbered(arrays, "history"))
        for blob, array in zip(blobs, params):
            blob.values.load(array)
        self.iter, self._policy_state = int(arrays["iter"]), PolicyState.from_arrays(arrays)
        self._losses.load(arrays["losses"])


def _numbered(arrays, group):
    """The arrays "<group>/0", "<group>/1", ..."""
    count = sum(name.startswith(f"{group}/") for name in arrays)
    return [np.asarray(arrays[f"{group}/{i}"]) for i in range(count)]


def _read(source):
    if isinstance(source, caffe_pb2.SolverParameter):
        return upgrade_solver(copy.deepcopy(source))
    return prototxt.read_solver(os.fspath(source))


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


_SOLVERS = {"SGD": SGDSolver, "Nesterov": NesterovSolver, "AdaGrad": AdaGradSolver,
            "RMSProp": RMSPropSolver, "AdaDelta": AdaDeltaSolver, "Adam": AdamSolver}


def get_solver(source):
    """The solver of the type that the file (or SolverParameter) names."""
    p = _read(source)
    if p.type not in _SOLVERS:
        raise CaffeError(f'solver: unknown type "{p.type}"{suggest(p.type, _SOLVERS)}; known: '
                         f"{', '.join(_SOLVERS)}")
    return _SOLVERS[p.type](p)
