"""Training of a detection net on a roidb. The code is in faster_rcnn.training."""
from faster_rcnn.training.solver_wrapper import SolverWrapper, TrainingError  # noqa: F401
from faster_rcnn.training.train_net import train_net  # noqa: F401
from faster_rcnn.training.training_images import filter_roidb, get_training_roidb  # noqa: F401
