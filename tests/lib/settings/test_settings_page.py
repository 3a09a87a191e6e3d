"""docs/settings.md is what config.py says."""
import re
import runpy

from sources import ROOT

from faster_rcnn.settings.config import DEFAULTS

PAGE = ROOT / "docs" / "settings.md"


def leaves(settings, above=""):
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{above}{key}.")
        else:
            yield above + key


def test_the_page_is_up_to_date():
    made = runpy.run_path(str(ROOT / "docs" / "make_settings.py"))["page"]()
    assert PAGE.read_text(encoding="utf-8") == made, "run docs/make_settings.py"


def test_it_has_every_key_once_with_default_and_effect():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines()
            if line.startswith("| `")]
    keys = [key for row in rows for key in re.findall(r"`([A-Z_0-9.]+)`", row.split(" | ")[0])]
    assert sorted(keys) == sorted(leaves(DEFAULTS))
    assert "| `TEST.NMS` | 0.3 | overlap | from 0 to 1 | The NMS of each class" in "\n".join(rows)
    assert all(len(row.split(" | ")[-1]) > 10 for row in rows)
