"""Files of Caffe's older forms in today's (Caffe: tools/upgrade_*_proto_*.cpp)."""
import logging
from collections.abc import Sequence

from google.protobuf import text_format
from google.protobuf.message import DecodeError, Message

from caffe.core.errors import WeightsError
from caffe.core.regular_files import open_regular
from caffe.files import prototxt
from caffe.files.atomic import write_bytes
from caffe.files.upgrade import upgrade_net
from caffe.proto import caffe_pb2
from caffe.tools.command import Flags, run_tool

USAGE = "usage: {0} FILE_IN FILE_OUT\n\n{1}"
log = logging.getLogger("caffe")


def net_text(argv: Sequence[str]) -> int:
    """upgrade_net_proto_text; returns the exit status."""
    usage = USAGE.format("upgrade_net_proto_text", "Brings a net's prototxt to Caffe's form of "
                         "today: layers of V2, inputs as Input layers.")
    return run_tool(lambda _, words: _write_text(prototxt.read_net(words[0]), words[1]),
                    argv, usage, {}, (2, 2))


def solver_text(argv: Sequence[str]) -> int:
    """upgrade_solver_proto_text; returns the exit status."""
    usage = USAGE.format("upgrade_solver_proto_text", "Brings a solver's prototxt to Caffe's form "
                         "of today: type by name.")
    return run_tool(_upgrade_solver, argv, usage, {}, (2, 2))


def net_binary(argv: Sequence[str]) -> int:
    """upgrade_net_proto_binary; returns the exit status."""
    usage = USAGE.format("upgrade_net_proto_binary", "Brings a .caffemodel to Caffe's form of "
                         "today: layers of V2, with their weights.")
    return run_tool(_upgrade_binary, argv, usage, {}, (2, 2))


def _upgrade_solver(_: Flags, words: list[str]) -> None:
    text = prototxt.read_text(words[0])     # not read_solver: it adds a snapshot_prefix
    _write_text(prototxt.read_solver_text(text, words[0]), words[1])


def _upgrade_binary(_: Flags, words: list[str]) -> None:
    source, target = words
    net = caffe_pb2.NetParameter()
    with open_regular(source) as file:
        data = file.read()
    try:
        net.ParseFromString(data)
    except DecodeError:
        raise WeightsError(f"{source}: is not a .caffemodel, or one of a fork of Caffe whose "
                           "fields mean other things") from None
    if not net.layers and not net.layer:
        raise WeightsError(f"{source}: holds no layers; this is not a .caffemodel")
    write_bytes(target, upgrade_net(net, source).SerializeToString())
    log.info("Wrote upgraded %s binary proto to %s", type(net).__name__, target)


def _write_text(message: Message, target: str) -> None:
    write_bytes(target, text_format.MessageToString(message).encode())
    log.info("Wrote upgraded %s text proto to %s", type(message).__name__, target)
