"""Settings: `cfg` and what changes it. The code is in faster_rcnn.settings.config."""
from faster_rcnn.settings.config import (  # noqa: F401
    cfg,
    cfg_from_file,
    cfg_from_list,
    cfg_override,
    get_output_dir,
)
