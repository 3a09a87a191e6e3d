"""Which layers and blobs backward reaches (Caffe: the second half of Net::Init).

Three steps: mark the layers that learn or depend on one that does; unmark those that no loss
depends on; with `force_backward`, mark everything that can have a gradient.
"""
from collections.abc import Sequence
from typing import Any

from caffe.runners.runner import LayerRunner


def mark_backward(layers: Sequence[LayerRunner], force: bool) -> None:
    """Sets need_backward, propagate_down and param_propagate_down of the LayerRunners of a net."""
    _mark_learning(layers)
    _prune_without_loss(layers)
    if force:
        for layer in layers:
            layer.need_backward = True
            layer.propagate_down = [wanted or layer.allows_gradient(i)
                                    for i, wanted in enumerate(layer.propagate_down)]
            layer.param_propagate_down = [True] * len(layer.blobs)
    _mark_parameters(layers)


def _mark_learning(layers: Sequence[LayerRunner]) -> None:
    """A layer needs backward when it learns or when a blob below it does."""
    learning: set[int] = set()
    for layer in layers:
        specs = layer.param.param
        rates = [specs[i].lr_mult if i < len(specs) else 1.0 for i in range(len(layer.blobs))]
        layer.param_propagate_down = [rate != 0 for rate in rates]
        asked = layer.param.propagate_down
        if asked and len(asked) != len(layer.bottoms):
            raise layer.error(f"expected propagate_down once per bottom ({len(layer.bottoms)}) or "
                              f"not at all, got it {len(asked)} times")
        below = [id(blob) in learning for blob in layer.bottoms]
        layer.propagate_down = list(asked) or below
        layer.need_backward = any(below) or any(layer.param_propagate_down)
        if layer.need_backward:
            learning.update(map(id, layer.tops))


def _prune_without_loss(layers: Sequence[LayerRunner]) -> None:
    """Switches backward off in layers that no loss depends on, or whose tops get no gradient.

    `skipped` holds the blobs to which the layer that reads them passes no gradient.
    """
    under_loss: set[int] = set()
    skipped: set[int] = set()
    for layer in reversed(layers):
        tops = [id(blob) for blob in layer.tops]
        contributes = any(layer.loss_weights) or not under_loss.isdisjoint(tops)
        if not contributes or skipped.issuperset(tops):
            layer.need_backward = False
            layer.propagate_down = [False] * len(layer.bottoms)
        bottoms = [id(blob) for blob in layer.bottoms]
        if contributes:
            under_loss.update(bottoms)
        skipped.update(blob for blob, wanted in zip(bottoms, layer.propagate_down) if not wanted)


def _mark_parameters(layers: Sequence[LayerRunner]) -> None:
    """Sets requires_grad for the parameters whose gradient some layer needs.

    Where the module itself has switched it off (statistics), it stays off.
    """
    wanted: dict[int, tuple[Any, bool]] = {}
    for layer in layers:
        for blob, asked in zip(layer.blobs, layer.param_propagate_down):
            known = wanted.get(id(blob.parameter), (blob.parameter, False))[1]
            wanted[id(blob.parameter)] = blob.parameter, known or asked
    for parameter, asked in wanted.values():
        parameter.requires_grad_(parameter.requires_grad and asked)
