"""What of models/ is committed, and that it is what the descriptions say."""
import os
import subprocess
import sys

import pytest

from faster_rcnn.networks.catalogue import folders
from faster_rcnn.networks.repository import Link, committed, make_link, out_of_date
from faster_rcnn.settings.config import cfg

GENERATE = os.path.join(cfg.ROOT_DIR, "models", "generate.py")
# Of py-faster-rcnn, fast-rcnn (there without the data set), py-R-FCN and OHEM
PUBLISHED = {
    "pascal_voc": {
        **{net: ("faster_rcnn_alt_opt", "faster_rcnn_end2end", "fast_rcnn")
           for net in ("ZF", "VGG16", "VGG_CNN_M_1024")},
        "CaffeNet": ("fast_rcnn",),
        **{net: ("rfcn_end2end", "rfcn_alt_opt_5step_ohem")
           for net in ("ResNet-50", "ResNet-101")}},
    "coco": {net: ("faster_rcnn_end2end", "fast_rcnn") for net in ("VGG16", "VGG_CNN_M_1024")}}


def generate(*args):
    return subprocess.run([sys.executable, GENERATE, *args], capture_output=True, text=True)


@pytest.fixture(scope="module")
def wanted():
    return committed()


def test_what_was_published_is_committed():
    here = {name for name, folder in folders().items() if folder.committed}
    for data_set, nets in PUBLISHED.items():
        for net, methods in nets.items():
            assert {f"{data_set}/{net}/{method}" for method in methods} <= here
    assert not any("nonapprox" in name or "SqueezeNet/f" in name for name in here)


def test_equal_files_are_one_and_the_lines_are_few(wanted):
    texts = [text for text in wanted.values() if isinstance(text, str)]
    assert len(set(texts)) == len(texts)
    assert sum(text.count("\n") for text in texts) < 65000
    links = {path: link for path, link in wanted.items() if isinstance(link, Link)}
    assert links["pascal_voc/VGG16/faster_rcnn_end2end/test.prototxt"] == Link(
        "../faster_rcnn_alt_opt/faster_rcnn_test.pt")
    for path, link in links.items():
        target = os.path.normpath(os.path.join(os.path.dirname(path), link.target))
        assert isinstance(wanted[target], str) and target.split("/")[:2] == path.split("/")[:2]


def test_git_ignores_what_is_written_on_first_use(wanted):
    lines = wanted[".gitignore"].splitlines()[1:]
    assert set(lines) == {f"/{name}/" for name, folder in folders().items()
                          if not folder.committed}


def test_what_is_missing_or_different_is_put_right(tmp_path, wanted, monkeypatch):
    from faster_rcnn.networks import repository
    few = {path: wanted[path] for path in (
        "pascal_voc/Tiny/faster_rcnn_alt_opt/faster_rcnn_test.pt",
        "pascal_voc/Tiny/faster_rcnn_end2end/test.prototxt", ".gitignore")}
    monkeypatch.setattr(repository, "committed", lambda: few)
    text_path, link_path = (tmp_path / path for path in list(few)[:2])
    for path in few:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("old")
    assert dict(out_of_date(str(tmp_path))) == few
    for path in (tmp_path / ".gitignore", text_path):
        path.write_text(few[str(path.relative_to(tmp_path))])
    make_link(str(link_path), few[str(link_path.relative_to(tmp_path))])
    assert link_path.read_text() == text_path.read_text() and link_path.is_symlink()
    assert list(out_of_date(str(tmp_path))) == []
    assert sorted(os.listdir(link_path.parent)) == ["test.prototxt"]


def test_nets_for_a_data_set_of_ones_own(tmp_path):
    name = "pascal_voc/Tiny/faster_rcnn_end2end"
    done = generate("--to", str(tmp_path), "--classes", "4", "--scales", "2,4.5", name)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / name / "train.prototxt").read_text()
    assert "num_output: 16" in text and "'num_classes': 4" in text and "[2, 4.5]" in text
    assert sorted(os.listdir(tmp_path / name)) == [
        "solver.prototxt", "test.prototxt", "train.prototxt"]


@pytest.mark.parametrize("args,words", [
    (("--classes", "4"), "need --to DIR"), (("--to", "x"), "go together"),
    (("--scales", "0", "--to", "x", "pascal_voc/ZF/fast_rcnn"), "--scales"),
    (("--to", "x", "pascal_voc/ZF"), "no folder pascal_voc/ZF; folders are pascal_voc/ZF/faster")])
def test_what_one_mistypes_is_said(args, words, tmp_path):
    done = generate(*args)
    assert done.returncode == 2 and words in done.stderr and not os.path.exists("x")
