"""The module in which pycaffe has its classes (`from caffe.pycaffe import Net, SGDSolver`)."""
from caffe._caffe import (
    NCCL,
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    Net,
    RMSPropSolver,
    SGDSolver,
    Timer,
)

__all__ = ["AdaDeltaSolver", "AdaGradSolver", "AdamSolver", "NCCL", "NesterovSolver", "Net",
           "RMSPropSolver", "SGDSolver", "Timer"]
