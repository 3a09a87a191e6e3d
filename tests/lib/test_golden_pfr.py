"""Every recorded case of py-faster-rcnn in tests/golden/pfr."""
import importlib
import pathlib
import pkgutil

import golden_pfr
import pytest
from golden_pfr import CHECKS, Case, overrides

from faster_rcnn.settings.config import cfg_override

for module in pkgutil.iter_modules(golden_pfr.__path__):
    importlib.import_module(f"golden_pfr.{module.name}")

ROOT = pathlib.Path(__file__).resolve().parents[1] / "golden" / "pfr"
PATHS = sorted(path for path in ROOT.glob("*/*.npz") if path.parent.name != "images")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recorded_case(path, tmp_path):
    case = Case(path)
    with cfg_override(ROOT_DIR=str(tmp_path), **overrides(case)):
        CHECKS[path.parent.name](case)


def test_every_check_has_cases():
    assert set(CHECKS) == {path.parent.name for path in PATHS}
