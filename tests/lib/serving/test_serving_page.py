"""The page in a real browser: pictures and videos, the slider, classes, JSON, widths, colours."""
import json

import cv2
import numpy as np
import pytest
from browser import browser, contrast, page
from report_data import HOSTILE
from scripted_detector import ScriptedDetector, running


@pytest.fixture(scope="module")
def opened():
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def address():
    with running(ScriptedDetector((HOSTILE, "dog")), title="tiny") as server:
        yield f"http://127.0.0.1:{server.server_port}/"


@pytest.fixture
def bright(tmp_path):
    path = tmp_path / "<b>bright.png"
    cv2.imwrite(str(path), np.full((300, 400, 3), 200, np.uint8))
    return path


def set_score(view, score):
    view.locator("#score").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }",
        str(score))


def test_a_picture_its_boxes_the_slider_and_json(opened, address, bright):
    with page(opened) as view:
        view.goto(address)
        view.locator("#files").set_input_files(str(bright))
        view.locator("#result").wait_for()
        assert view.locator(".box").count() == 1                # 0.9; the other has 0.3
        set_score(view, 0.2)
        assert view.locator(".box").count() == 2
        assert view.locator(".box text").first.text_content() == "dog 0.30"
        assert view.locator("#rows tr").nth(0).inner_text().startswith(HOSTILE)
        found = json.loads(view.locator("#json").text_content())
        assert (found["image"], found["width"], found["height"]) == (bright.name, 400, 300)
        assert found["detections"][1] == {"class": "dog", "score": 0.3, "box": [200, 0, 399, 299]}
        set_score(view, 0.95)
        assert view.locator(".box").count() == 0 and view.locator("#none").is_visible()


def test_boxes_lie_on_the_picture(opened, address, bright):
    with page(opened) as view:
        view.goto(address)
        view.locator("#files").set_input_files(str(bright))
        view.locator(".box").first.wait_for()
        picture = view.locator(".stage img").bounding_box()
        box = view.locator(".box rect:not(.halo)").first.bounding_box()
        assert box["x"] == pytest.approx(picture["x"], abs=3)
        assert box["width"] == pytest.approx(picture["width"] / 2, abs=6)
        assert box["height"] == pytest.approx(picture["height"], abs=6)


def test_a_class_is_hidden_and_shown_by_keyboard(opened, address, bright):
    with page(opened) as view:
        view.goto(address)
        view.locator("#files").set_input_files(str(bright))
        view.locator("#classes input").first.wait_for()
        view.locator("#classes input").first.focus()
        view.keyboard.press("Space")
        assert view.locator(".box").count() == 0
        view.locator("#classes input").first.focus()
        view.keyboard.press("Space")
        assert view.locator(".box").count() == 1


def test_a_picture_that_is_dropped(opened, address):
    with page(opened) as view:
        view.goto(address)
        view.evaluate("""async () => {
            const canvas = document.createElement("canvas");
            canvas.width = 80; canvas.height = 60;
            const blob = await new Promise(done => canvas.toBlob(done));
            const data = new DataTransfer();
            data.items.add(new File([blob], "dropped.png", {type: "image/png"}));
            window.dispatchEvent(new DragEvent("drop", {dataTransfer: data, cancelable: true}));
        }""")
        view.locator(".box").first.wait_for()
        assert "dropped.png: 80 × 60 pixels" in view.locator("#caption").inner_text()


def test_a_video_is_looked_at_frame_by_frame(opened, address, tmp_path):
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(10):
        writer.write(np.full((48, 64, 3), 220, np.uint8))
    writer.release()
    with page(opened) as view:
        view.goto(address)
        view.locator("#files").set_input_files(str(path))
        view.locator(".stage video").wait_for()
        view.locator("#strip button[data-state=done]").wait_for()
        assert view.evaluate("files[0].frames.length") == 4
        assert "frame 0 at 0.00 s" in view.locator("#caption").inner_text()


def test_a_refusal_is_shown(opened, address, tmp_path):
    path = tmp_path / "text.png"
    path.write_text("no picture")
    with page(opened, may_fail=("415",)) as view:
        view.goto(address)
        view.locator("#files").set_input_files(str(path))
        view.locator("#status.fault").wait_for()
        assert "text.png: the file is no picture" in view.locator("#status").inner_text()


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_width_and_can_be_read(opened, address, bright, width, scheme):
    with page(opened, width, scheme) as view:
        view.goto(address)
        assert view.evaluate("document.documentElement.scrollWidth") == width
        view.locator("#files").set_input_files(str(bright))
        view.locator(".box").first.wait_for()
        assert view.evaluate("document.documentElement.scrollWidth") == width
        for selector in ("body", ".lead", ".drop span", "#caption", "thead th", ".actions a"):
            assert contrast(view, selector) >= 4.5, selector
