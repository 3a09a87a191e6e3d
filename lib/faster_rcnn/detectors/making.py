"""Describing a detector: from its test net, its classes and the settings in force."""
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

import caffe
from caffe.proto.caffe_pb2 import NetParameter
from faster_rcnn.detectors.description import (
    ANCHOR_SETTINGS,
    BACKGROUND,
    COMMON_SETTINGS,
    USUAL_THRESHOLD,
    Description,
    WeightsFile,
)
from faster_rcnn.networks.text import net_text
from faster_rcnn.settings.config import cfg


def describe(net: NetParameter, classes: Sequence[str], weights: WeightsFile,
             threshold: float = USUAL_THRESHOLD, data: Mapping[str, str] | None = None,
             training: Mapping[str, Any] | None = None) -> Description:
    """The Description of weights for a test net that is adapted to the classes.

    classes: with or without the background. Settings are those of cfg, but that TEST.HAS_RPN
    follows the net.
    """
    names = tuple(classes[1:] if classes[0] == BACKGROUND else classes)
    has_rpn = makes_proposals(net)
    return Description(
        net=net_text(net), method=method_of(net), classes=names,
        settings=settings_of_test(has_rpn), weights=weights, threshold=threshold,
        data=dict(data or {}), training=dict(training or {}), versions=versions())


def makes_proposals(net: NetParameter) -> bool:
    """Whether a test net has an RPN, which reads im_info; others get their rois from outside."""
    return any("im_info" in layer.bottom for layer in net.layer)


def method_of(net: NetParameter) -> str:
    """One of description.METHODS."""
    if any(layer.type == "PSROIPooling" for layer in net.layer):
        return "rfcn"
    return "faster_rcnn" if makes_proposals(net) else "fast_rcnn"


def settings_of_test(has_rpn: bool) -> dict[str, Any]:
    """The settings of a test that are in force, in JSON's types, as in a settings file."""
    test = {key: _plain(value) for key, value in cfg.TEST.items()}
    test.update(HAS_RPN=has_rpn, AGNOSTIC=bool(cfg.TRAIN.AGNOSTIC or cfg.TEST.AGNOSTIC))
    anchors = {key: _plain(cfg[key]) for key in ANCHOR_SETTINGS if cfg[key]}
    return {"TEST": test, **{key: _plain(cfg[key]) for key in COMMON_SETTINGS}, **anchors}


def versions() -> dict[str, str]:
    """The programs at work."""
    return {"caffe": caffe.__version__, "python": platform.python_version(),
            "torch": torch.__version__}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.ravel().tolist()
    return list(value) if isinstance(value, tuple) else value
