"""docs/one_image.md is what docs/one_image.py writes."""
import re
import runpy

from sources import ROOT

from faster_rcnn.settings.config import cfg_override

PAGE = ROOT / "docs" / "one_image.md"
# Shapes that depend on what the detector finds in the picture
FOUND = ("rois", "pool5", "fc6", "fc7", "cls_prob", "bbox_pred")


def shapes(text):
    return dict(re.findall(r"^\| `(\w+)` \| (\(.+?\)) \|", text, re.M))


def test_the_script_writes_the_page(workplace, tmp_path):
    write_page = runpy.run_path(str(ROOT / "docs" / "one_image.py"))["write_page"]
    with cfg_override():
        write_page(str(workplace.weights), str(workplace.folder / workplace.picture), tmp_path)
    made = (tmp_path / "one_image.md").read_text(encoding="utf-8")
    now, then = shapes(made), shapes(PAGE.read_text(encoding="utf-8"))
    assert now.keys() == then.keys() and len(now) == 12
    for name in now:
        sizes, known = (re.findall(r"\d+", found[name]) for found in (now, then))
        if name in FOUND:
            assert sizes[1:] == known[1:]
        else:       # the channels; pictures of the set have several sizes
            assert sizes[:2] == known[:2]
    names = {path.name for path in (tmp_path / "one_image").iterdir()}
    for picture in re.findall(r"\(one_image/(.+?)\)", made):
        assert picture in names and (PAGE.parent / "one_image" / picture).is_file()


def test_shapes_fit_each_other():
    found = {name: tuple(map(int, re.findall(r"\d+", shape)))
             for name, shape in shapes(PAGE.read_text(encoding="utf-8")).items()}
    rows, columns = found["conv6"][2:]
    assert (rows * 8, columns * 8) == found["data"][2:]      # a cell for every 8 x 8 pixels
    assert found["rpn_bbox_pred"][1] == 2 * found["rpn_cls_score"][1] == 4 * 12
    assert found["bbox_pred"][1] == 4 * found["cls_prob"][1] == 4 * 7
    assert len({found[name][0] for name in FOUND}) == 1
