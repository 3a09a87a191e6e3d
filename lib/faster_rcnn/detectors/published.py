"""Detectors by the names of their nets: where their test nets, weights and classes are.

    published("vgg16")      models/pascal_voc/VGG16/faster_rcnn_alt_opt/faster_rcnn_test.pt,
                            data/faster_rcnn_models/VGG16_faster_rcnn_final.caffemodel, voc_2007

The folders of weights are those of the programs that published them.
"""
import os
from dataclasses import dataclass

from caffe.core.errors import UserError, suggest
from faster_rcnn.networks.store import known_nets
from faster_rcnn.settings.config import cfg

# Method, its test net, and where the weights lie below the folder of the data; the first method
# that a net has is meant. name: in small letters, without hyphen
_METHODS = (
    ("rfcn_end2end", "test_agnostic.prototxt", "rfcn_models/{name}_rfcn_final.caffemodel"),
    ("faster_rcnn_alt_opt", "faster_rcnn_test.pt",
     "faster_rcnn_models/{net}_faster_rcnn_final.caffemodel"),
    ("faster_rcnn_end2end", "test.prototxt",
     "faster_rcnn_models/{net}_faster_rcnn_final.caffemodel"),
)
_GIVEN_BOXES = (("fast_rcnn", "test.prototxt",
                 "fast_rcnn_models/{small}_fast_rcnn_iter_40000.caffemodel"),)
_CARDS = {"Tiny": "shapes"}
_USUAL_CARD = "voc_2007"


class UnknownDetectorError(UserError, ValueError):
    """A name that no detector has; the message lists those that exist."""


@dataclass(frozen=True)
class Published:
    """A detector's net, the paths of its test net and weights, the card that names its classes."""

    net: str
    method: str
    prototxt: str
    weights: str
    card: str


def published(name: str, given_boxes: bool = False) -> Published:
    """The detector of a net's name; capitals do not matter. given_boxes: Fast R-CNN.

    Raises UnknownDetectorError.
    """
    found = {net.lower(): entry for net, entry in _known(given_boxes).items()}
    if name.lower() not in found:
        nets = sorted(_known(given_boxes))
        raise UnknownDetectorError(f"there is no net {name}{suggest(name, nets)}; there are: "
                                   f"{', '.join(nets)}")
    return found[name.lower()]


def _known(given_boxes: bool) -> dict[str, Published]:
    """{net: what is meant by its name}; cfg says where nets and data are."""
    found: dict[str, Published] = {}
    for method, prototxt, weights in _GIVEN_BOXES if given_boxes else _METHODS:
        for net in known_nets(cfg.MODELS_DIR, method, cfg.ROOT_DIR):
            path = weights.format(net=net, small=net.lower(),
                                  name=net.lower().replace("-", ""))
            found.setdefault(net, Published(
                net, method, os.path.join(cfg.MODELS_DIR, net, method, prototxt),
                os.path.join(cfg.DATA_DIR, path), _CARDS.get(net, _USUAL_CARD)))
    return found
