"""Nets are found by the paths that users write, and written on first use."""
import logging
import os

import pytest

from faster_rcnn.anchors.options import AnchorOptions
from faster_rcnn.networks.catalogue import folders, text_of
from faster_rcnn.networks.store import UnknownNetError, find, find_folder, rebuild
from faster_rcnn.settings.config import cfg

JOINT = "pascal_voc/Tiny/faster_rcnn_nonapprox"


def texts(name):
    return {file: text_of(make()) for file, make in folders()[name].files().items()}


def test_the_whole_folder_is_written_once(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.chdir(tmp_path)
    path = find(f"models/{JOINT}/solver.prototxt", str(tmp_path))
    folder = tmp_path / "models" / JOINT
    assert path == str(folder / "solver.prototxt")
    assert {file.name: file.read_text() for file in folder.iterdir()} == texts(JOINT)
    assert len(caplog.records) == 1 and str(folder) in caplog.text
    (folder / "test.prototxt").write_text("edited")
    (folder / "train.prototxt").unlink()
    assert find(str(folder / "train.prototxt"), str(tmp_path)) == str(folder / "train.prototxt")
    assert (folder / "test.prototxt").read_text() == "edited"
    assert find(f"models/{JOINT}/train.prototxt", str(tmp_path)) == f"models/{JOINT}/train.prototxt"


def test_models_means_the_projects_wherever_one_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = "models/pascal_voc/ZF/faster_rcnn_alt_opt/rpn_test.pt"
    assert find(path, cfg.ROOT_DIR) == os.path.join(cfg.ROOT_DIR, path)
    with pytest.raises(UnknownNetError, match="does not exist$"):
        find(str(tmp_path / path), cfg.ROOT_DIR)


def test_a_models_folder_that_cannot_be_written(tmp_path, monkeypatch):
    from faster_rcnn.networks import store
    write = store.write_text

    def refuse(path, text):
        if path.startswith(str(tmp_path / "models")):
            raise PermissionError(13, "Permission denied", path)
        write(path, text)
    monkeypatch.setattr(store, "write_text", refuse)
    monkeypatch.chdir(tmp_path)
    path = find(str(tmp_path / "models" / JOINT / "solver.prototxt"), str(tmp_path))
    folder = tmp_path / "output" / "models" / JOINT
    assert path == str(folder / "solver.prototxt")
    assert sorted(os.listdir(folder)) == sorted(texts(JOINT))
    assert find(f"models/{JOINT}/train.prototxt", str(tmp_path)) == str(folder / "train.prototxt")


@pytest.mark.parametrize("path,words", [
    ("models/pascal_voc/ZG/faster_rcnn_end2end/solver.prototxt",
     ("no net ZG", "nets that are there: ", "MobileNet, ResNet-101, ResNet-50, SqueezeNet, Tiny")),
    ("models/pascal_voc/ZF/faster_rcnn/solver.prototxt",
     ("does not exist; methods of ZF: fast_rcnn, faster_rcnn_alt_opt",)),
    ("models/pascal_voc/ZF/faster_rcnn_end2end/solver.pt",
     ("faster_rcnn_end2end has solver.prototxt, test.prototxt, train.prototxt",)),
    ("models/VGG16/train.prototxt", ("here it is models/pascal_voc/VGG16/fast_rcnn/train.proto",)),
    ("elsewhere/train.prototxt", ("the solver elsewhere/train.prototxt does not exist",))])
def test_unknown_names_are_one_line(path, words, tmp_path):
    with pytest.raises(UnknownNetError) as caught:
        find(path, str(tmp_path), "the solver")
    message = str(caught.value)
    assert "\n" not in message and not os.listdir(tmp_path)
    for word in (path, *words):
        assert word in message


def test_folders_of_schedules(tmp_path):
    mine = tmp_path / "mine"
    (mine / "Small" / "faster_rcnn_alt_opt").mkdir(parents=True)
    found = find_folder(str(mine), "Small", "faster_rcnn_alt_opt", str(tmp_path))
    assert found == str(mine / "Small" / "faster_rcnn_alt_opt")
    with pytest.raises(UnknownNetError, match="no net ZF: .*; nets that are there: Small$"):
        find_folder(str(mine), "ZF", "faster_rcnn_alt_opt", str(tmp_path))
    models = str(tmp_path / "models" / "pascal_voc")
    found = find_folder(models, "Tiny", "faster_rcnn_alt_opt", str(tmp_path))
    assert found == os.path.join(models, "Tiny", "faster_rcnn_alt_opt")
    assert len(os.listdir(found)) == 10


def test_a_file_nobody_edited_is_made_anew_for_other_data(tmp_path):
    root, anchors = str(tmp_path), AnchorOptions(ratios=(1,))
    path = find(f"{root}/models/{JOINT}/train.prototxt", root)
    made = rebuild(path, root, 4, anchors)
    wanted = folders()[JOINT].files(4, anchors)["train.prototxt"]()
    assert made == wanted != folders()[JOINT].files()["train.prototxt"]()
    assert rebuild(os.path.join(os.path.dirname(path), "solver.prototxt"), root, 4) is None
    with open(path, "a") as file:
        file.write("# mine\n")
    assert rebuild(path, root, 4) is None
    other = tmp_path / "other.prototxt"
    other.write_text("name: 'x'")
    assert rebuild(str(other), root, 4) is None
