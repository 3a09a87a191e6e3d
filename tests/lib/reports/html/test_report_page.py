"""The page in a real browser: the slider, sorting, enlarging, widths and both colour schemes."""
import pytest
from browser import browser, contrast, page
from report_data import HOSTILE, PicturesTested

from faster_rcnn.reports.html.facts import RunFacts, Step
from faster_rcnn.reports.html.page import write_html_report

POINTS = [{"iteration": i, "loss": 2 / i, "loss/a": 1 / i, "loss/b": 1 / i} for i in range(1, 60)]
FACTS = RunFacts("Tiny", [("Weights", "x" * 90)], [("TEST.NMS", 0.5, 0.3)], "test_net.py " * 30,
                 [Step("stage1_rpn", 80.0, {"iterations": 300}, POINTS)])


@pytest.fixture(scope="module")
def opened():
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    imdb = PicturesTested(folder, (HOSTILE, "dog"), "image", "a_data_set_with_a_long_name_test")
    path = folder / "report.html"
    write_html_report(imdb, imdb.all_boxes, imdb.metrics, ["a", "b", HOSTILE], path, FACTS)
    return path.as_uri()


def set_score(view, score):
    view.locator("#score").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }",
        str(score))


def test_the_slider_filters_boxes_and_counts_again(opened, address):
    with page(opened) as view:
        view.goto(address)
        worst = view.locator(".gallery.worst .picture").first      # dog 0.95 on a cat; a dog missed
        assert worst.locator(".box.false:visible").count() == 1
        assert worst.locator(".box.object:visible").count() == 2
        # at 0.5: right 0.9, 0.8, 0.7; false 0.95, 0.6; five objects
        assert view.locator("#precision").inner_text() == "0.600"
        assert view.locator("#recall").inner_text() == "0.600"
        set_score(view, 0.96)
        assert worst.locator(".box.false:visible").count() == 0
        assert view.locator("#precision").inner_text() == "–"
        best = view.locator(".gallery.best .picture").first
        assert best.locator(".box.right:visible").count() == 0
        assert best.locator(".box.object:visible").count() == 2    # missed at that score
        set_score(view, 0.85)
        assert best.locator(".box.right:visible").count() == 1
        assert best.locator(".box.object:visible").count() == 1
        assert view.locator("#score-value").inner_text() == "0.85"


def test_the_slider_and_the_tables_work_by_keyboard(opened, address):
    with page(opened) as view:
        view.goto(address)
        view.locator("#score").focus()
        view.keyboard.press("ArrowRight")
        assert view.locator("#score-value").inner_text() == "0.51"
        heads = view.locator("#classes th button")
        heads.nth(2).focus()
        view.keyboard.press("Enter")
        names = view.locator("#classes tbody th")
        assert names.all_inner_texts() == [HOSTILE, "dog"]
        view.keyboard.press("Enter")
        assert names.all_inner_texts() == ["dog", HOSTILE]
        assert view.locator("#classes th[aria-sort]").count() == 1


def test_a_picture_is_enlarged_and_closed(opened, address):
    with page(opened) as view:
        view.goto(address)
        view.locator(".enlarge").first.click()
        assert view.locator("dialog[open] .stage svg").count() == 1
        assert view.locator("dialog[open] .stage p").inner_text().startswith("a: 2 of 2")
        view.keyboard.press("Escape")
        assert view.locator("dialog[open]").count() == 0


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_width_and_can_be_read(opened, address, width, scheme):
    with page(opened, width, scheme) as view:
        view.goto(address)
        assert view.evaluate("document.documentElement.scrollWidth") == width
        assert view.evaluate("document.body.getBoundingClientRect().right") <= width
        for selector in ("body", ".lead", ".note", "thead th", ".tile.main dd", "nav a",
                         "figcaption"):
            ratio = contrast(view, selector)
            assert ratio >= 4.5, (selector, ratio)


def test_the_page_can_be_read_without_its_program(opened, address):
    context = opened.new_context(java_script_enabled=False)
    view = context.new_page()
    view.goto(address)
    assert view.locator("table").count() >= 5 and view.locator(".chart svg").count() >= 4
    context.close()
