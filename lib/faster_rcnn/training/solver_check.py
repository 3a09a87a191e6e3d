"""What would end a training with a solver after its data are loaded, refused before."""
from caffe.core.errors import CaffeError
from caffe.files import prototxt
from caffe.proto.caffe_pb2 import SolverParameter
from caffe.solvers.lr_policy import learning_rate


def check_solver(path: str) -> SolverParameter:
    """Reads a solver; CaffeError names the file where its learning rate cannot be computed."""
    param = prototxt.read_solver(path)
    try:
        learning_rate(param, 0, 0)
    except CaffeError as error:
        raise CaffeError(f"{path}: {error}") from None
    return param
