"""Every recorded case of py-faster-rcnn in tests/golden/pfr."""
import importlib
import pkgutil

import golden
import golden_pfr
import pytest
from golden_pfr import CHECKS, Case, overrides

from faster_rcnn.settings.config import cfg_override

for module in pkgutil.iter_modules(golden_pfr.__path__):
    importlib.import_module(f"golden_pfr.{module.name}")

FAMILIES = [family for family in golden.families("pfr") if family != "pfr/images"]
CASES = [case for family in FAMILIES for case in golden.cases(family)]


@pytest.mark.parametrize("name", CASES, ids=golden.short_name)
def test_recorded_case(name, tmp_path):
    case = Case(name)
    with cfg_override(ROOT_DIR=str(tmp_path), **overrides(case)):
        CHECKS[name.split("/")[1]](case)


def test_every_check_has_cases():
    assert set(CHECKS) == {case.split("/")[1] for case in CASES}
