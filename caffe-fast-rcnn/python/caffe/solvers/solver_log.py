"""What solvers and the `caffe` command say of a net's outputs, as log parsers expect it."""
import logging

log = logging.getLogger("caffe")


def log_outputs(kind, net, outputs):
    """A line "<kind> net output #k: name = v" for each value; outputs: name -> array."""
    values = ((name, value) for name, array in outputs.items() for value in array.flat)
    for k, (name, value) in enumerate(values):
        log.info("    %s net output #%d: %s", kind, k, with_weight(net, name, value))


def with_weight(net, name, value):
    """'name = value', and what it counts for in the loss if it does."""
    weight = net.blob_loss_weights[name]
    share = f" (* {weight:.6g} = {weight * value:.6g} loss)" if weight else ""
    return f"{name} = {value:.6g}{share}"
