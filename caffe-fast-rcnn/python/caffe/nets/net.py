"""Nets (pycaffe: caffe.Net).

    net = caffe.Net("deploy.prototxt", caffe.TEST, weights="net.caffemodel")
    net.blobs["data"].data[...] = image
    scores = net.forward()["prob"]

There is no autograd graph of the whole net. A forward pass runs layer after layer, a backward pass
asks each layer for its gradients in reverse order, and only blobs connect the layers. So a pass may
begin and end at any layer, and every blob may be read and written in between.
The forward pass records what gradients need, in exactly those layers that a backward pass reaches
by Caffe's rules (gradients.py). A test net has no loss and records nothing; with `force_backward:
true` it has gradients like any other net. A pass through a whole test net that records nothing
follows a plan (plan/), in which layers are fused.
"""
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from caffe.core.blob import Blob
from caffe.core.errors import CaffeError, suggest
from caffe.core.precision import number_type
from caffe.core.state import Phase
from caffe.core.types import FilePath
from caffe.layer_types.inputs.memory_data import MemoryData
from caffe.nets.arguments import Collected, batches, folder_of, net_arguments, read_network
from caffe.nets.builder import NetBuilder
from caffe.nets.debug import log_passes
from caffe.nets.net_weights import (
    CopyReport,
    copy_weights,
    save_weights,
    save_weights_hdf5,
    save_weights_v1,
    share_weights,
)
from caffe.nets.passes.factors import set_factors
from caffe.nets.passes.whole_pass import WholePass
from caffe.nets.plan.planner import Planner
from caffe.nets.plan.steps import run_layer
from caffe.nets.private_names import PrivateNames
from caffe.proto.caffe_pb2 import NetParameter


class Net(PrivateNames):
    """A net from a prototxt, on the device that is set when it is made (caffe.set_mode_cpu, _gpu).

    Net(file, phase, level=0, stages=None, weights=None) or, as once, Net(file, weights, phase).
    file: a path or a NetParameter. folder: where the modules of Python layers are looked for after
    sys.path; by default the folder of the prototxt.

    Attributes (in net order):
      blobs        OrderedDict: name -> Blob             blob_loss_weights  name -> float
      params       OrderedDict: layer -> [Blob], of the layers that have learnable blobs
      layers       the layers; a Python layer is the user's own object
      layer_dict   layer name -> layer                   top_names, bottom_names  layer -> [blob]
      inputs, outputs   names of blobs                   name               may be changed
      last_copy    CopyReport of the last copy_from
      precision    "float32" or "bf16": as caffe.set_precision said when the net was made
      passes       WholePass, with the methods `keep_features` and `recompute_activations`
    """

    def __init__(self, network_file: FilePath | NetParameter, *args: Any, phase: int | None = None,
                 level: int = 0, stages: Sequence[str] | None = None,
                 weights: FilePath | None = None,
                 folder: FilePath | None = None) -> None:
        phase, level, stages, weights = net_arguments(args, phase, level, stages, weights)
        message = read_network(network_file)
        message.state.phase = int(phase)
        message.state.level = level
        message.state.stage.extend(stages or ())
        self.name = message.name
        self.phase = Phase(phase)
        self.last_copy: CopyReport | None = None
        self._callbacks: dict[str, list[Callable[[int], object]]] = {
            moment: [] for moment in ("before_forward", "after_forward", "before_backward",
                                      "after_backward")}
        built = NetBuilder(message, folder or folder_of(network_file)).build()
        self.precision = set_factors(built.layers, number_type(built.device, phase))
        self._take(built)
        if message.debug_info:
            log_passes(self, lambda: True)
        if weights is not None:
            self.copy_from(weights)

    def _take(self, built: NetBuilder) -> None:
        self._runners, self._owned = built.layers, built.owned
        self.learnables = built.learnables
        self._blob_names, self._blobs = built.blob_names, built.blobs
        self.blobs = OrderedDict(zip(built.blob_names, built.blobs))
        self.blob_loss_weights = OrderedDict(
            zip(built.blob_names, (float(np.float32(w)) for w in built.loss_weights)))
        self.layers = [runner.public for runner in self._runners]
        self._layer_names = [runner.name for runner in self._runners]
        self.layer_dict = OrderedDict(zip(self._layer_names, self.layers))
        self.params = OrderedDict((runner.name, runner.blobs) for runner in self._runners
                                  if len(runner.blobs))
        self.top_names = OrderedDict((r.name, r.top_names) for r in self._runners)
        self.bottom_names = OrderedDict((r.name, r.bottom_names) for r in self._runners)
        self.inputs, self.outputs = built.inputs, built.outputs
        self._planner = Planner(self._runners, self.phase == Phase.TEST)
        self.passes = WholePass(self._runners, [self.blobs[name] for name in self.outputs],
                                self._planner)

    # ----------------------------------------------------------------------------------- passes

    def forward(self, blobs: Iterable[str] | None = None, start: str | None = None,
                end: str | None = None, **inputs: Any) -> dict[str, np.ndarray]:
        """A forward pass from layer `start` to layer `end` (names; all layers by default).

        inputs: an array for each of the net's inputs, or none at all. Returns {blob name: array}
        of the outputs (or of the tops of `end`) and of `blobs`; the arrays are the blobs' own.
        """
        first = 0 if start is None else self._index(start)
        last = len(self._runners) - 1 if end is None else self._index(end)
        names = self.outputs if end is None else self.top_names[end]
        if inputs:
            self._feed(inputs, self.inputs, "input", lambda blob: blob.data)
        self.run_forward(first, last)
        return {name: self._blob(name).data for name in [*names, *(blobs or ())]}

    def backward(self, diffs: Iterable[str] | None = None, start: str | None = None,
                 end: str | None = None, **top_diffs: Any) -> dict[str, np.ndarray]:
        """A backward pass from layer `start` down to layer `end` (names; all by default).

        top_diffs: an array for each of the net's outputs, or none at all. Returns {blob name:
        gradient} of the inputs (of the bottoms of `end`, if given) and of the further `diffs`.
        """
        first = len(self._runners) - 1 if start is None else self._index(start)
        last = 0 if end is None else self._index(end)
        names = self.inputs if end is None else self.bottom_names[end]
        if top_diffs:
            self._feed(top_diffs, self.outputs, "output", lambda blob: blob.diff)
        self.run_backward(first, last)
        return {name: self._blob(name).diff for name in [*names, *(diffs or ())]}

    def run_forward(self, start: int = 0, end: int | None = None,
                    record: bool = True) -> Tensor | float:
        """Runs layers number `start` to `end` (the last by default); returns the weighted sum of
        their losses, a scalar on the device (no synchronisation).

        record: whether a backward pass may follow.
        """
        end = len(self._runners) - 1 if end is None else end
        before, after = self._callbacks["before_forward"], self._callbacks["after_forward"]
        is_whole = start == 0 and end == len(self._runners) - 1 and not (before or after)
        with torch.no_grad():
            if is_whole:
                loss = self.passes.run(record)
            else:
                self.passes.compute_left_out()
                loss = 0.0
                for i in range(start, end + 1):
                    for callback in before:
                        callback(i)
                    loss = loss + run_layer(self._runners[i], record)
                    for callback in after:
                        callback(i)
            for blob in self._blobs:
                if blob.values.is_viewed:
                    blob.values.settle()
        return loss

    def run_backward(self, start: int | None = None, end: int = 0) -> None:
        """Runs layers number `start` (the last by default) down to `end` backwards."""
        start = len(self._runners) - 1 if start is None else start
        before, after = self._callbacks["before_backward"], self._callbacks["after_backward"]
        with torch.no_grad():
            for i in range(start, end - 1, -1):
                for callback in before:
                    callback(i)
                if self._runners[i].need_backward:
                    self.passes.run_backward(i)
                for callback in after:
                    callback(i)
            for blob in self._blobs:
                if blob.gradient.is_viewed:
                    blob.gradient.settle()
            for learnable in self.learnables:
                if learnable.blob.gradient.is_viewed:
                    learnable.blob.gradient.settle()

    def _index(self, name: str) -> int:
        if name not in self.layer_dict:
            raise ValueError(f'the net has no layer "{name}"{suggest(name, self._layer_names)}')
        return self._layer_names.index(name)

    def _blob(self, name: str) -> Blob:
        if name not in self.blobs:
            raise KeyError(f'the net has no blob "{name}"{suggest(name, self.blobs)}')
        return self.blobs[name]

    def _feed(self, arrays: Mapping[str, ArrayLike], names: Sequence[str], what: str,
              memory: Callable[[Blob], np.ndarray]) -> None:
        if set(arrays) != set(names):
            raise CaffeError(f"expected an array for each {what} of the net ({', '.join(names)}), "
                             f"got {', '.join(arrays)}")
        for name, array in arrays.items():
            blob, array = self.blobs[name], np.asarray(array)
            if array.shape[:1] != blob.shape[:1]:
                raise CaffeError(f'{what} "{name}": expected {blob.shape[0]} items as the blob has '
                                 f"(shape {blob.shape}), got shape {array.shape}")
            try:
                memory(blob)[...] = array
            except ValueError:
                raise CaffeError(f'{what} "{name}": an array of shape {array.shape} does not fit '
                                 f"the blob of shape {blob.shape}; reshape the blob") from None

    def set_input_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        """Sets the arrays from which the first layer, a MemoryData layer, takes its batches."""
        module = getattr(self._runners[0], "module", None) if self._runners else None
        if not isinstance(module, MemoryData):
            raise CaffeError("set_input_arrays needs a net whose first layer is a MemoryData layer")
        module.set_arrays(data, labels)

    def forward_all(self, blobs: Iterable[str] | None = None,
                    **inputs: ArrayLike) -> dict[str, np.ndarray]:
        """Runs forward passes over any number of items, in batches; returns copies of results."""
        results = Collected()
        for batch, count in self._batches(inputs):
            results.add(self.forward(blobs=blobs, **batch), count)
        return results.stacked()

    def forward_backward_all(self, blobs: Iterable[str] | None = None,
                             diffs: Iterable[str] | None = None,
                             **arrays: ArrayLike
                             ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Runs forward and backward passes over any number of items, in batches.

        arrays: inputs and gradients of outputs, by blob name. Returns (results, gradients).
        """
        results, gradients = Collected(), Collected()
        for batch, count in self._batches(arrays):
            inputs = {name: batch[name] for name in batch if name in self.inputs}
            top_diffs = {name: batch[name] for name in batch if name in self.outputs}
            results.add(self.forward(blobs=blobs, **inputs), count)
            gradients.add(self.backward(diffs=diffs, **top_diffs), count)
        return results.stacked(), gradients.stacked()

    def _batches(self, arrays: Mapping[str, ArrayLike]) -> Iterator[tuple[dict[str, Any], int]]:
        return batches(arrays, self.blobs[self.inputs[0]].num)

    def reshape(self) -> None:
        """Computes the shapes of all blobs again, from the shapes of the inputs."""
        for runner in self._runners:
            runner.reshape()

    def clear_param_diffs(self) -> None:
        """Sets the gradients of all learnable blobs to 0."""
        for learnable in self.learnables:
            learnable.blob.gradient.unset()

    def before_forward(self, callback: Callable[[int], object]) -> None:
        """Calls callback(layer index) before each layer's forward pass."""
        self._callbacks["before_forward"].append(callback)

    def after_forward(self, callback: Callable[[int], object]) -> None:
        """Calls callback(layer index) after each layer's forward pass."""
        self._callbacks["after_forward"].append(callback)

    def before_backward(self, callback: Callable[[int], object]) -> None:
        """Calls callback(layer index) before each layer's backward pass."""
        self._callbacks["before_backward"].append(callback)

    def after_backward(self, callback: Callable[[int], object]) -> None:
        """Calls callback(layer index) after each layer's backward pass."""
        self._callbacks["after_backward"].append(callback)

    # ---------------------------------------------------------------------------------- weights

    def copy_from(self, path: FilePath, skip_mismatched: bool = False) -> CopyReport:
        """Fills the blobs of layers with the same name from a .caffemodel or .h5 file.

        Returns a CopyReport, kept as `last_copy`. A blob of another shape raises WeightsError;
        with skip_mismatched its layer keeps its values instead."""
        self.last_copy = copy_weights(self._runners, self._owned, os.fspath(path), skip_mismatched)
        return self.last_copy

    load_hdf5 = copy_from

    def share_with(self, other: "Net") -> None:
        """Shares the learnable blobs of the layers with the same names in another net."""
        share_weights(self._runners, other._runners)

    def save(self, path: FilePath, write_diff: bool = False) -> None:
        """Writes all learnable blobs to a .caffemodel; write_diff: with their gradients."""
        save_weights(self._runners, str(self.name), os.fspath(path), write_diff)

    def save_v1(self, path: FilePath) -> None:
        """Writes all learnable blobs to a .caffemodel in the format of 2014, for old programs."""
        save_weights_v1(self._runners, str(self.name), os.fspath(path))

    def save_hdf5(self, path: FilePath, write_diff: bool = False) -> None:
        """Writes all learnable blobs to an HDF5 file in Caffe's layout; write_diff as in `save`."""
        save_weights_hdf5(self._runners, self._owned, os.fspath(path), write_diff)
