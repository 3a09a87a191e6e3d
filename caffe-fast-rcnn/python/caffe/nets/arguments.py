"""What caffe.Net may be called with, in the present form and in the older one."""
import os

from caffe.files import prototxt
from caffe.files.upgrade import upgrade_net
from caffe.proto import caffe_pb2


def net_arguments(args, phase, level, stages, weights):
    """The arguments behind the file, in the present order or in the older (weights, phase)."""
    if args and isinstance(args[0], (str, os.PathLike)):
        weights, args = args[0], args[1:]
        if args:
            phase, args = args[0], args[1:]
    elif args:
        phase, args = args[0], args[1:]
        given = (level, stages, weights)
        level, stages, weights = (*args, *given[len(args):])
        args = ()
    if args or phase is None:
        raise TypeError("expected Net(file, phase, level=0, stages=None, weights=None) or "
                        "Net(file, weights, phase)")
    return phase, level, stages, weights


def read_network(network_file):
    """The NetParameter of a path, or of one that is given; of today's form, a copy."""
    if isinstance(network_file, caffe_pb2.NetParameter):
        message = caffe_pb2.NetParameter()
        message.CopyFrom(network_file)
        return upgrade_net(message)
    return prototxt.read_net(os.fspath(network_file))
