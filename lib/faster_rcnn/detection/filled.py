"""A test net is not run on random numbers: its weights must fill all layers that learn."""
import logging

import caffe
from caffe.core.errors import WeightsError

log = logging.getLogger(__name__)


def require_filled(net: caffe.Net, weights: str, allow_random: bool) -> None:
    """WeightsError with the names of the net's learnable layers that its weights do not fill.

    net: made with the weights, a path. allow_random: a warning instead.
    """
    if net.last_copy is None:
        raise ValueError("the net was made without weights")
    missing = net.last_copy.missing
    if not missing:
        return
    text = (f"{weights} has no weights for {', '.join(missing)}, whose values would be random; are "
            "they the weights of this net?")
    if not allow_random:
        raise WeightsError(f"{text} (--allow-random runs it all the same)")
    log.warning("%s", text)
