"""Weights of a net: from files, to files, and shared between nets (Caffe: net.cpp)."""
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from caffe.core.blob import Blob
from caffe.core.errors import ShapeMismatchError, WeightsError
from caffe.files import weights
from caffe.runners.runner import LayerRunner

log = logging.getLogger("caffe")


class CopyReport(NamedTuple):
    """What copy_from did: names of layers."""

    copied: list            # layers filled from the file
    ignored_source: list    # layers with blobs in the file that the net does not have
    missing: list           # layers with blobs in the net that the file does not have
    mismatched: list        # layers not filled because a blob has another shape in the file


def copy_weights(layers: Sequence[LayerRunner], owned: Sequence[Sequence[bool]], path: str,
                 skip_mismatched: bool = False) -> CopyReport:
    """Fills the blobs of LayerRunners from a .caffemodel or HDF5 file, by layer name.

    owned: per layer and blob, whether the layer is its first user; a blob that is shared with an
    earlier layer may be missing in an HDF5 file. If anything does not fit, nothing is changed; with
    skip_mismatched the layers that have a blob of another shape are not filled instead.
    Returns a CopyReport; raises WeightsError.
    """
    source = weights.read_layers(path)
    filled = _arrays_of_layers(layers, source)
    copies, copied, mismatched = [], [], []
    for index, arrays in sorted(filled.items()):
        layer, owns = layers[index], owned[index]
        if len(arrays) < len(layer.blobs) and all(not own for own in owns[len(arrays):]):
            arrays = arrays + [None] * (len(layer.blobs) - len(arrays))
        if skip_mismatched and _has_other_shapes(layer, arrays):
            mismatched.append(layer.name)
            continue
        _check_fit(layer, owns, arrays, path)
        copies += [(blob, array) for blob, array in zip(layer.blobs, arrays) if array is not None]
        if layer.blobs:
            copied.append(layer.name)
    for blob, array in copies:
        blob.values.load(np.reshape(array, blob.values.shape))
    names = {layer.name for layer in layers}
    ignored = list(dict.fromkeys(name for name, arrays in source if arrays and name not in names))
    for name in ignored:
        log.info("Ignoring source layer %s", name)
    missing = [layer.name for i, layer in enumerate(layers) if layer.blobs and i not in filled]
    return CopyReport(copied, ignored, missing, mismatched)


def _arrays_of_layers(layers: Sequence[LayerRunner],
                      source: Sequence[tuple[str, list[np.ndarray | None]]]
                      ) -> dict[int, list[np.ndarray | None]]:
    """{index of a layer: its arrays in the file}.

    Caffe's rule: a layer of the file goes to the first layer of the net with that name, so that of
    equal names the last one in the file wins. But where net and file have equally many learnable
    layers of one name, which Caffe would mix up, each gets its own.
    """
    indices, entries = defaultdict(list), defaultdict(list)
    for index, layer in enumerate(layers):
        indices[layer.name].append(index)
    for name, arrays in source:
        entries[name].append(arrays)
    found: dict[int, list[np.ndarray | None]] = {}
    for name in entries.keys() & indices.keys():
        learned = [arrays for arrays in entries[name] if arrays]
        learners = [index for index in indices[name] if layers[index].blobs]
        if len(learned) == len(learners) > 1:
            found.update(zip(learners, learned))
        else:
            found[(learners or indices[name])[0]] = learned[-1] if learned else []
    return found


def _has_other_shapes(layer: LayerRunner, arrays: Sequence[np.ndarray | None]) -> bool:
    return len(arrays) == len(layer.blobs) and any(
        array is not None and not weights.fits(array, blob.shape)
        for array, blob in zip(arrays, layer.blobs))


def _check_fit(layer: LayerRunner, owns: Sequence[bool], arrays: Sequence[np.ndarray | None],
               path: str) -> None:
    if len(arrays) != len(layer.blobs):
        raise WeightsError(f'{path}: layer "{layer.name}" ({layer.type}) has {len(arrays)} blobs '
                           f"in the file and {len(layer.blobs)} in the net")
    for i, (array, blob) in enumerate(zip(arrays, layer.blobs)):
        if array is None and owns[i]:
            raise WeightsError(f'{path}: blob {i} of layer "{layer.name}" ({layer.type}) is '
                               "missing")
        if array is not None and not weights.fits(array, blob.shape):
            raise ShapeMismatchError(
                f"Cannot copy param {i} weights from layer '{layer.name}'; shape mismatch. Source "
                f"param shape is {tuple(array.shape)} ({path}); target param shape is "
                f"{blob.shape}. To learn this layer's parameters from scratch rather than copying "
                "from a saved net, rename the layer.")


def save_weights(layers: Sequence[LayerRunner], net_name: str, path: str,
                 write_diff: bool = False) -> None:
    """Writes all layers to a .caffemodel; every user of a shared blob gets a copy of it.

    write_diff: writes the gradients as well.
    """
    weights.write_weights(path, net_name, (
        (layer.name, layer.type, [_stored(blob) for blob in layer.blobs],
         *_diffs(layer, write_diff))
        for layer in layers))


def save_weights_v1(layers: Sequence[LayerRunner], net_name: str, path: str) -> None:
    """Writes all layers to a .caffemodel in the format of 2014; WeightsError for newer types."""
    weights.write_weights_v1(path, net_name, (
        (layer.name, layer.type, [_stored(blob) for blob in layer.blobs], layer.bottom_names,
         layer.top_names) for layer in layers))


def save_weights_hdf5(layers: Sequence[LayerRunner], owned: Sequence[Sequence[bool]], path: str,
                      write_diff: bool = False) -> None:
    """Writes all layers to Caffe's HDF5 layout; a shared blob is stored with its first user.

    write_diff: writes the gradients as well, of shared blobs with every user, as Caffe does.
    """
    weights.write_weights_hdf5(path, (
        (layer.name, [_stored(blob) if own else None for blob, own in zip(layer.blobs, owns)],
         *_diffs(layer, write_diff))
        for layer, owns in zip(layers, owned)))


def _diffs(layer: LayerRunner, wanted: bool) -> list[list[np.ndarray]]:
    """One list, the gradients of a layer's learnable blobs, or no list at all."""
    return [[blob.diff for blob in layer.blobs]] if wanted else []


def _stored(blob: Blob) -> np.ndarray:
    return blob.tensor.detach().cpu().contiguous().numpy()


def share_weights(layers: Sequence[LayerRunner], others: Sequence[LayerRunner]) -> None:
    """Shares the blobs of other layers with the layers of the same names.

    Caffe: Net::ShareTrainedLayersWith.
    """
    by_name = defaultdict(list)
    for own in layers:
        by_name[own.name].append(own)
    for other in others:
        if not by_name[other.name]:
            log.info("Ignoring source layer %s", other.name)
            continue
        layer = by_name[other.name].pop(0)
        if len(layer.blobs) != len(other.blobs):
            raise layer.error(f"cannot share weights: {len(other.blobs)} blobs there, "
                              f"{len(layer.blobs)} here")
        for i, (blob, source) in enumerate(zip(layer.blobs, other.blobs)):
            if blob.shape != source.shape:
                raise layer.error(f"cannot share param {i}: shape {source.shape} there, "
                                  f"{blob.shape} here; to learn it from scratch, rename the layer")
            if blob.values is not source.values:
                blob.share_values(source)
