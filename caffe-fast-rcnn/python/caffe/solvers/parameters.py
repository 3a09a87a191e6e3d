"""The options of a solver: a SolverParameter from a file or a message."""
import copy
import os

from caffe.core.types import FilePath
from caffe.files import prototxt
from caffe.files.upgrade import upgrade_solver
from caffe.proto.caffe_pb2 import SolverParameter


def read_parameters(source: FilePath | SolverParameter) -> SolverParameter:
    """The SolverParameter in a file, or a copy of one that is given; of the current form."""
    if isinstance(source, SolverParameter):
        return upgrade_solver(copy.deepcopy(source))
    return prototxt.read_solver(os.fspath(source))
