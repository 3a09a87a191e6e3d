"""docs/pains.md: all complaints are there, and the tests that it names exist."""
import re

import pytest
from sources import ROOT

TESTS = ROOT / "tests"
ROWS = re.findall(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$",
                  (ROOT / "docs" / "pains.md").read_text(encoding="utf-8"), re.M)


def test_every_complaint_has_an_answer():
    assert [int(number) for number, *_ in ROWS] == list(range(1, 33))
    assert all(len(answer) > 15 for _, _, answer, _ in ROWS)


@pytest.mark.parametrize("number, tests", [(row[0], row[3]) for row in ROWS])
def test_the_tests_exist(number, tests):
    named = re.findall(r"`([^`]+)`", tests)
    assert named
    for name in named:
        path, _, function = name.partition("::")
        assert (TESTS / path).is_file(), name
        text = (TESTS / path).read_text(encoding="utf-8")
        assert not function or f"def {function}(" in text, name
