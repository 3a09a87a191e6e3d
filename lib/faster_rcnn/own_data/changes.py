"""Random changes of training pictures for a small set, whose pictures are seen many times."""
from typing import Any

from faster_rcnn.training.epochs import USUAL_IMAGES

# A fifth smaller or larger; brightness, contrast, saturation and hue as of another day's light
SCALE_JITTER = (0.8, 1.2)
COLOR_JITTER = (0.15, 0.15, 0.15, 0.02)


def proposed_changes(num_images: int) -> dict[str, Any]:
    """Settings for cfg.TRAIN, or none for as many pictures as VOC 2007 has.

    What they are worth on blood cells: docs/model_zoo.md.
    """
    if num_images >= USUAL_IMAGES:
        return {}
    return {"SCALE_JITTER": list(SCALE_JITTER), "COLOR_JITTER": list(COLOR_JITTER)}
