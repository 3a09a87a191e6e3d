"""The page as a file: everything in it, nothing outside it, and names that are only text."""
import html.parser
import re
from pathlib import Path

import hostile
import pytest
from report_data import HOSTILE, PicturesTested

from faster_rcnn.reports.html.environment import duration, number
from faster_rcnn.reports.html.facts import RunFacts, Step
from faster_rcnn.reports.html.page import write_html_report

FACTS = RunFacts("Tiny", [("Weights", "tiny.caffemodel")], [("TEST.NMS", 0.5, 0.3)],
                 "./tools/test_net.py --gpu cpu",
                 [Step("stage1_rpn", 80.0, {"iterations": 300},
                       [{"iteration": i, "loss": 2 / i} for i in range(1, 30)]),
                  Step("proposals", None)])


class Parsed(html.parser.HTMLParser):
    """Names of elements, values of attributes by name, and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        self.text.append(data)


def page_of(imdb, tmp_path, facts=None):
    names = [f"{imdb.stem}{i}" for i in range(imdb.num_images)]
    path = write_html_report(imdb, imdb.all_boxes, imdb.metrics, names, tmp_path / "r.html", facts)
    return Path(path).read_text(encoding="utf-8")


def test_the_page_holds_all_sections_and_numbers(tmp_path):
    text = page_of(PicturesTested(tmp_path), tmp_path, FACTS)
    for section in ("classes", "curves", "sizes", "errors", "confusion", "pictures", "training",
                    "run"):
        assert f'<section id="{section}"' in text
    words = " ".join(" ".join(Parsed(text).text).split())
    assert "Mean AP 0.625 at IoU 0.5, voc12" in words
    assert "on pictures_test, 3 images, 5 objects of 2 classes" in words
    assert "TEST.NMS 0.5 0.3" in words and "./tools/test_net.py --gpu cpu" in words
    assert "stage1_rpn 1 min 20 s iterations 300" in words and "proposals –" in words
    # cat taken for dog once, in the third image
    assert "cat taken for dog (1)." in words


def test_the_page_needs_nothing_but_itself(tmp_path):
    text = page_of(PicturesTested(tmp_path), tmp_path, FACTS)
    parsed = Parsed(text)
    for name, value in parsed.attributes:
        if name in ("src", "href", "xlink:href", "action", "data", "srcset"):
            assert value.startswith(("#", "data:image/jpeg;base64,")), (name, value)
    assert not {"link", "iframe", "object", "embed", "base"} & set(parsed.elements)
    assert not re.search(r"url\(|@import|https?:|fetch\(|XMLHttp|import\(", text)
    assert ("http-equiv", "Content-Security-Policy") in parsed.attributes


def test_without_facts_there_is_no_training_and_the_data_set_is_the_title(tmp_path):
    text = page_of(PicturesTested(tmp_path), tmp_path)
    assert '<section id="training"' not in text and "<h1>pictures_test</h1>" in text


def test_hostile_names_are_shown_as_they_are(tmp_path):
    stem = HOSTILE.replace("/", "_")        # no file name may hold a slash
    imdb = PicturesTested(tmp_path, (HOSTILE, "dog"), stem, HOSTILE)
    facts = RunFacts(HOSTILE, [(HOSTILE, HOSTILE)], [(HOSTILE, HOSTILE, HOSTILE)], HOSTILE,
                     [Step(HOSTILE, 1.0, {HOSTILE: HOSTILE},
                           [{"iteration": i, "loss": 1.0, f"loss/{HOSTILE}": 1.0, "loss/b": 1.0}
                            for i in range(3)])])
    text = page_of(imdb, tmp_path, facts)
    parsed = Parsed(text)
    assert parsed.elements.count("script") == 2             # the page's own: data and program
    assert "alert" not in re.sub(r"&lt;script&gt;alert\(&#34;x&#34;\)", "", text)
    assert HOSTILE in parsed.text and "49" not in re.findall(r"'(\d+)'", text)
    assert any(HOSTILE in (value or "") for _, value in parsed.attributes)


def test_no_name_adds_an_element(tmp_path):
    def elements(name, folder):
        folder.mkdir()
        facts = RunFacts(name, [(name, name)], [(name, name, name)], name,
                         [Step(name, 1.0, {name: name}, [])])
        return Parsed(page_of(PicturesTested(folder, (name, "dog"), "i", name), folder,
                              facts)).elements
    usual = elements("cat", tmp_path / "usual")
    named = filter(None, hostile.NAMES)         # facts without text are left out
    for place, name in enumerate(named):
        assert elements(name, tmp_path / str(place)) == usual, ascii(name)


def test_a_data_set_without_objects_or_detections_has_a_page(tmp_path):
    imdb = PicturesTested(tmp_path)
    none = [[[] for _ in range(3)] for _ in range(3)]
    nan = {"mean_ap": float("nan"), "per_class": {name: {"ap": float("nan")}
                                                  for name in imdb.classes[1:]}}
    imdb.annotated_boxes = lambda: [None, None, None]
    text = Path(write_html_report(imdb, none, nan, list("abc"), tmp_path / "r.html")).read_text()
    assert "nan" not in re.sub(r"<(style|script)>.*?</\1>", "", text, flags=re.S)
    assert '<section id="pictures"' not in text


@pytest.mark.parametrize("seconds, text", [(0.25, "0.25 s"), (42, "42 s"), (59.7, "1 min 0 s"),
                                           (200, "3 min 20 s"), (18720, "5 h 12 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_numbers_that_are_none():
    assert [number(value) for value in (0.12345, None, float("nan"))] == ["0.123", "–", "–"]
