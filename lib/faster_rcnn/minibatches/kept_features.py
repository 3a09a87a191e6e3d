"""The features that frozen layers make of each image, kept through a training (stage 2 of the
alternating schedule, TRAIN.FEATURE_CACHE_MB)."""
import logging
from typing import Any

from caffe.nets.net import Net
from caffe.nets.passes.frozen import FeatureCache
from faster_rcnn.settings.config import cfg

log = logging.getLogger(__name__)
_MEGABYTE = 1 << 20


def keep_frozen_features(net: Net, data_layer: Any) -> FeatureCache | None:
    """Switches the cache on, as TRAIN.FEATURE_CACHE_MB says; None where it has nothing to keep.

    data_layer: the net's first layer; its image_keys() says what decides each image of a batch.
    """
    limit = cfg.TRAIN.FEATURE_CACHE_MB
    if not limit:
        return None
    keys = getattr(data_layer, "image_keys", None)
    if keys is None:
        log.warning("TRAIN.FEATURE_CACHE_MB does nothing: the data layer of this net, %s, does not "
                    "say what decides its images (image_keys)", type(data_layer).__name__)
        return None
    if keys() is None:
        log.warning("TRAIN.FEATURE_CACHE_MB does nothing: the images change at random "
                    "(TRAIN.SCALE_JITTER, COLOR_JITTER, RANDOM_CROP)")
        return None
    cache = net.passes.keep_features(int(limit * _MEGABYTE), keys)
    if cache is not None:
        log.info("The features of the frozen layers are kept, in %g MB at most "
                 "(TRAIN.FEATURE_CACHE_MB)", limit)
    return cache


def log_use(cache: FeatureCache | None) -> None:
    """Says at the end how much the cache held, and how often it helped."""
    if cache is not None:
        log.info("Features kept: %d images, %.0f MB; %d of %d passes left the frozen layers out",
                 len(cache), cache.size / _MEGABYTE, cache.hits, cache.hits + cache.misses)
