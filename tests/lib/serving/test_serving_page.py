"""The page in a real browser: pictures and videos, the slider, classes, JSON, widths, colours."""
import json

import cv2
import numpy as np
import pytest
from browser import browser, contrast, page
from PIL import Image
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
        assert view.locator("#frame-value").inner_text() == "0 at 0.00 s"
        # Chromium does not play such a video: its boxes are drawn, and the frames chosen, without
        view.locator(".stage video").wait_for(state="detached")
        assert "This browser cannot show such a file" in view.locator("#caption").inner_text()
        view.locator("#frame").focus()
        view.keyboard.press("End")
        assert view.locator("#frame-value").inner_text() == "9 at 0.90 s"
        assert '"frame":9' in view.locator("#json").text_content()
        box = view.locator(".frame").bounding_box()
        assert box["width"] / box["height"] == pytest.approx(64 / 48, abs=0.01)


def test_what_failed_stays_named_beside_what_did_not(opened, address, bright, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    dark = tmp_path / "dark.png"
    cv2.imwrite(str(dark), np.zeros((30, 40, 3), np.uint8))
    with page(opened, may_fail=("415",)) as view:
        view.goto(address)
        view.locator("#files").set_input_files([str(tmp_path / "text.png"), str(bright), str(dark)])
        view.locator("#strip button[data-state=done]").nth(1).wait_for()
        assert "text.png: the file is no picture" in view.locator("#faults li").inner_text()
        assert view.locator("#status").inner_text() == "dark.png: 1 object"
        failed = view.locator("#strip button[data-state=failed]")
        assert failed.get_attribute("aria-label") == "text.png, failed"
        # the first that can be seen is shown, and stays
        assert view.locator("#caption").inner_text().startswith(f"{bright.name}: 400 × 300")
        assert view.locator("#strip button[aria-current=true]").count() == 1


def test_a_file_that_is_too_large_is_not_sent(opened, address, tmp_path):
    with open(tmp_path / "large.mp4", "wb") as file:
        file.truncate((256 << 20) + 1)
    with page(opened) as view:
        view.goto(address)
        view.locator("#files").set_input_files(str(tmp_path / "large.mp4"))
        view.locator("#faults li").wait_for()
        assert "large.mp4: the file has 256.0 MB" in view.locator("#faults li").inner_text()


def test_a_server_that_has_gone_is_said_to_have(opened, bright):
    with page(opened, may_fail=("ERR_CONNECTION_REFUSED",)) as view:
        with running(ScriptedDetector(), title="tiny") as server:
            view.goto(f"http://127.0.0.1:{server.server_port}/")
        view.locator("#files").set_input_files(str(bright))
        view.locator("#faults li").wait_for()
        assert "does the server still run" in view.locator("#faults li").inner_text()


@pytest.mark.parametrize("ending, shown", [("jpg", "40 × 60"), ("png", "60 × 40")])
def test_a_picture_is_shown_as_the_detector_saw_it(opened, address, tmp_path, ending, shown):
    """A browser follows the camera's note in PNG files too, the detector in JPEG files alone."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / f"turned.{ending}"
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(path, exif=exif)
    with page(opened) as view:
        view.goto(address)
        view.locator("#files").set_input_files(str(path))
        view.locator(".box").first.wait_for()
        assert f": {shown} pixels" in view.locator("#caption").inner_text()
        orientation = view.evaluate(
            "getComputedStyle(document.querySelector('.stage img')).imageOrientation")
        assert orientation == {"jpg": "from-image", "png": "none"}[ending]


def test_a_tall_picture_is_no_higher_than_the_window(opened, address, tmp_path):
    path = tmp_path / "tall.png"
    cv2.imwrite(str(path), np.zeros((2400, 60, 3), np.uint8))
    with page(opened) as view:
        view.goto(address)
        view.locator("#files").set_input_files(str(path))
        view.locator(".box").first.wait_for()
        picture = view.locator(".stage img").bounding_box()
        assert picture["height"] < 900
        assert picture["width"] / picture["height"] == pytest.approx(60 / 2400, rel=0.02)


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
