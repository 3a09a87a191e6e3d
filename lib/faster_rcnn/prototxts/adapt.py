"""Copies of net files that follow the data set and the settings, beside the results."""
import logging
import os
from typing import Any

import caffe
from caffe.files import prototxt
from caffe.proto.caffe_pb2 import NetParameter
from faster_rcnn.files.atomic import write_text
from faster_rcnn.networks.store import rebuild
from faster_rcnn.networks.text import net_text
from faster_rcnn.prototxts.changes import change_net
from faster_rcnn.prototxts.options import NetOptions
from faster_rcnn.settings.config import cfg, get_output_dir

log = logging.getLogger(__name__)


def adapted_test_net(source: str, weights: str, imdb: Any) -> caffe.Net:
    """A test net with weights, named after their file, for the classes of an imdb.

    The adapted prototxt goes to the net's results folder, get_output_dir(imdb, net).
    """
    name = os.path.splitext(os.path.basename(weights))[0]
    folder = os.path.join(get_output_dir(imdb), name)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, os.path.basename(source))
    adapt_file(source, path, imdb.num_classes)
    net = caffe.Net(path, weights, caffe.TEST)
    net.name = name
    return net


def adapt_file(source: str, target: str, num_classes: int) -> NetParameter:
    """Writes the net `source` for `num_classes` and cfg.ANCHOR_* to `target`.

    A net of ours that nobody edited is generated anew, any other is changed where it states other
    numbers. Returns the net as it is read from `target`. Raises PrototxtError, or what change_net
    does.
    """
    name, options = os.path.basename(source), NetOptions.from_cfg(num_classes)
    made = rebuild(source, cfg.ROOT_DIR, options.num_classes, options.anchors)
    if made is None:
        net, sentences = change_net(prototxt.read_net(source), options, name)
        for sentence in sentences:
            log.info("%s: %s", name, sentence)
    header = f"# {name} for {num_classes} classes (background included)\n"
    write_text(target, header + (net_text(net) if made is None else net_text(*made)))
    return prototxt.read_net(target)
