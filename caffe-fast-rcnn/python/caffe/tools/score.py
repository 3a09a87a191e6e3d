"""`caffe test`: the mean outputs of a model with its weights (Caffe: tools/caffe.cpp, test)."""
import logging

import numpy as np

from caffe.core.state import TEST
from caffe.solvers.reports import with_weight
from caffe.tools.command import Flags
from caffe.tools.flags import model_net, positive_iterations, required, use_one

log = logging.getLogger("caffe")


def score(flags: Flags) -> None:
    """Runs the model in phase TEST and logs every batch's outputs and their means."""
    required(flags, "model", "to score")
    required(flags, "weights", "to score")
    iterations = positive_iterations(flags)
    use_one(flags["gpu"])
    net = model_net(flags, TEST)
    for path in flags["weights"].split(","):
        net.copy_from(path.strip())
    log.info("Running for %d iterations.", iterations)
    loss = 0.0
    sums: dict[str, np.ndarray] = {}
    for i in range(iterations):
        loss += float(net.run_forward(record=False))
        for name in net.outputs:
            values = net.blobs[name].data.astype(np.float64)
            sums[name] = sums.get(name, 0) + values
            for value in values.flat:
                log.info("Batch %d, %s = %.6g", i, name, value)
    log.info("Loss: %.6g", loss / iterations)
    for name, total in sums.items():
        for value in (total / iterations).flat:
            log.info("%s", with_weight(net, name, value))
