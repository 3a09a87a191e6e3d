"""Errors of a training say which images the net was computing."""
import contextlib
from collections.abc import Iterator
from typing import Any

from caffe.core.errors import add_note


@contextlib.contextmanager
def naming_minibatch(data_layer: Any) -> Iterator[None]:
    """An exception of the block gets a note with the images of the minibatches that `data_layer`, a
    RoIDataLayer, fed to the net in it. One of the data layer itself names its image already.
    """
    before = getattr(data_layer, "num_fed", 0)
    try:
        yield
    except Exception as error:
        count = getattr(data_layer, "num_fed", 0) - before
        if count:
            add_note(error, "images of the minibatch: "
                            + ", ".join(data_layer.recent_images(count)))
        raise
