"""Training of a detection net on a roidb. The code is in faster_rcnn.training.solver_wrapper."""
from faster_rcnn.training.solver_wrapper import (  # noqa: F401
    SolverWrapper,
    TrainingError,
    filter_roidb,
    get_training_roidb,
    train_net,
)
