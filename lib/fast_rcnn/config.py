"""Settings: `cfg` and what changes it. The code is in faster_rcnn.settings.config."""
from typing import Any

from faster_rcnn.settings.config import (  # noqa: F401
    cfg,
    cfg_from_file,
    cfg_from_list,
    cfg_override,
    get_output_dir,
)
from faster_rcnn.settings.merge import merge

# The original's private names, which other projects import
__C = cfg


def _merge_a_into_b(a: Any, b: Any) -> None:
    """Assigns the nested settings `a` into `b`, strictly: keys must exist, values keep the kind.
    """
    if isinstance(a, dict):
        merge(a, b, lambda path: "_merge_a_into_b")
