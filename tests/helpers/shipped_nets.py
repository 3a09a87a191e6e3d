"""The nets under models/ by backbone, file, method and data set; some are written on first use."""
import os

import caffe
from caffe.files import prototxt
from faster_rcnn.networks.store import find
from faster_rcnn.settings.config import cfg, cfg_override


def path_of(net, name, method, data_set="pascal_voc"):
    return find(f"models/{data_set}/{net}/{method}/{name}", cfg.ROOT_DIR)


def read(net, name, method, data_set="pascal_voc"):
    """The NetParameter of a file."""
    return prototxt.read_net(path_of(net, name, method, data_set))


def layers_of(message):
    """{name: LayerParameter} of a net, in net order."""
    return {layer.name: layer for layer in message.layer}


def learning(message):
    """Layer with parameters -> (weight rate, bias rate, weight decay, bias decay)."""
    return {layer.name: tuple(p.lr_mult for p in layer.param)
            + tuple(p.decay_mult for p in layer.param) for layer in message.layer if layer.param}


def build_file(path, has_rpn):
    """The net of a file, in the phase that the file's name says."""
    with cfg_override(TRAIN={"HAS_RPN": has_rpn, "IMS_PER_BATCH": 1}):
        return caffe.Net(path, caffe.TEST if "test" in os.path.basename(path) else caffe.TRAIN)
