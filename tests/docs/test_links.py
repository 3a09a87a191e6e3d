"""Links of the Markdown files lead to files and headings that are there."""
import re
from pathlib import Path

import pytest
from sources import ROOT

FOLDERS = ("docs", "lib", "caffe-fast-rcnn", "data", "experiments", "models", "tools", "tests")
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS
                                      for page in (ROOT / folder).rglob("*.md"))])


def anchors(page: Path) -> set[str]:
    """The names that forges give to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


def test_every_page_of_docs_is_reached_from_the_readme():
    reached, seen = [ROOT / "README.md"], set()
    while reached:
        page = reached.pop()
        seen.add(page.resolve())
        for link in re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            target = (page.parent / link).resolve()
            if target.suffix == ".md" and target.is_file() and target not in seen:
                reached.append(target)
    wanted = {page.resolve() for page in (ROOT / "docs").glob("*.md")}
    assert wanted <= seen
