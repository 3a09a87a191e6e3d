"""From a folder to the command that trains: what is proposed, and that it is used."""
import os

import numpy as np
import own_folders
import pytest

from faster_rcnn.commands.data import data_card, make_ready, settings_from_card
from faster_rcnn.datasets.cards import load_card
from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.own_data.changes import proposed_changes
from faster_rcnn.own_data.init import NothingToTrainError, init
from faster_rcnn.own_data.scale import proposed_min_size, proposed_scale
from faster_rcnn.settings.config import ConfigKeyError, cfg, cfg_override


def test_init_writes_a_card_and_says_what_trains(tmp_path):
    folder = own_folders.kangaroo(tmp_path / "my kangaroos")
    result = init(str(folder))
    assert result.is_new and result.card == str(folder / "my_kangaroos.yml")
    assert result.command == f"faster-rcnn train '{folder}'"
    assert result.iterations == 1000
    words = "\n".join(result.sentences)
    for part in ("24 pictures", "kangaroo (32 objects)", "19 pictures for training, 5 for the test",
                 "scale: shorter side", "anchors: scales", "schedule: 1000 iterations",
                 "changed at random: scaled by 0.8 to 1.2", "my_kangaroos_train.txt"):
        assert part in words
    card = load_card(result.card)
    assert card.settings == result.settings
    assert set(card.settings) == {"TRAIN", "TEST", "ANCHOR_SCALES", "ANCHOR_RATIOS"}
    changes = {"SCALE_JITTER": [0.8, 1.2], "COLOR_JITTER": [0.15, 0.15, 0.15, 0.02]}
    assert card.settings["TRAIN"] == {**card.settings["TEST"], **changes}


def test_a_card_that_is_there_is_kept_unless_asked(tmp_path):
    folder = own_folders.kangaroo(tmp_path / "kangaroo")
    first = init(str(folder))
    text = open(first.card).read()
    own_folders.text(first.card, text.replace("kangaroo]", "kangaroo, wallaby]"))
    again = init(str(folder))
    assert not again.is_new and "is there and is used" in again.sentences[0]
    assert load_card(again.card).classes == ("kangaroo", "wallaby")
    assert init(str(folder), again=True).is_new and open(first.card).read() == text
    before = get_imdb(str(folder)).image_index
    init(str(folder), again=True, seed=8)
    assert get_imdb(str(folder)).image_index != before


def test_what_is_wrong_is_counted_by_init_and_named_by_the_training(tmp_path, caplog):
    folder = own_folders.raccoon(tmp_path / "raccoon")      # one XML says a wrong size
    result = init(str(folder))
    [line] = [line for line in result.sentences if "finding" in line]
    assert line.startswith("1 finding in the training set") and "raccoon-4.xml" in line
    assert "raccoon-4.xml" not in caplog.text
    get_imdb(str(folder)).gt_roidb()
    assert caplog.text.count("raccoon-4.xml") == 1


def test_lists_of_the_users_are_kept(tmp_path):
    folder = own_folders.kangaroo(tmp_path / "kangaroo")
    for split, names in (("train", range(1, 20)), ("test", range(20, 25))):
        own_folders.text(folder / f"kangaroo_{split}.txt", "".join(f"{i:05d}\n" for i in names))
    result = init(str(folder), again=True, seed=9)
    assert "training: 19 pictures (kangaroo_train.txt)" in "\n".join(result.sentences)
    assert load_card(result.card).splits["test"] == ("kangaroo_test.txt",)


def test_a_card_without_settings_gets_them(tmp_path):
    folder = own_folders.kangaroo(tmp_path / "kangaroo")
    card = get_imdb(str(folder)).card       # reading a folder as a data set writes a plain card
    assert not card.settings
    assert init(str(folder)).settings and load_card(card.path).settings


def test_the_cards_settings_are_in_force_and_the_command_line_comes_first(tmp_path):
    folder = str(own_folders.kangaroo(tmp_path / "kangaroo"))
    with cfg_override():
        settings_from_card(data_card(folder))
        settings = load_card(os.path.join(folder, "kangaroo.yml")).settings
        assert list(cfg.TRAIN.SCALES) == settings["TRAIN"]["SCALES"] == [400]
        assert list(cfg.ANCHOR_SCALES) == settings["ANCHOR_SCALES"]
        settings_from_card(data_card(folder + ":test"))
        assert data_card("voc_2007_trainval") is None
    own_folders.text(tmp_path / "c.yml",
                     "format: yolo\nroot: .\nclasses: [a]\nsettings: {TRIAN: 3}\n")
    with pytest.raises(ConfigKeyError, match="c.yml: TRIAN is not a valid config key"):
        settings_from_card(data_card(str(tmp_path / "c.yml")))


def test_make_ready_leaves_names_and_cards_alone(tmp_path):
    make_ready("voc_2007_trainval")
    own_folders.text(tmp_path / "c.yml", "format: yolo\nroot: .\nclasses: [a]\n")
    make_ready(str(tmp_path))
    assert os.listdir(tmp_path) == ["c.yml"]


def test_objects_that_cannot_be_used_are_said(tmp_path):
    for number in range(4):
        own_folders.picture(tmp_path / "d" / f"{number}.jpg", number)
        own_folders.text(tmp_path / "d" / f"{number}.xml",
                         own_folders.voc_xml([("cat", 500, 500, 600, 600)]))
    with pytest.raises(NothingToTrainError, match="can be used: .* 3 with unusable boxes"):
        init(str(tmp_path / "d"))


@pytest.mark.parametrize("box, image, side", [
    ((200, 300), (640, 480), 400),      # large objects: what costs little
    ((43, 43), (640, 480), 448),        # to 40 pixels
    ((16, 16), (640, 480), 600),
    ((8, 8), (640, 480), 960),          # small ones are still 16 pixels
    ((4, 4), (640, 480), 1000),         # but no picture is made larger than that
    ((8, 8), (100, 100), 400), ((100, 100), (4000, 3000), 600)])
def test_the_scale_follows_the_small_objects(box, image, side):
    scale = proposed_scale(np.array([box] * 50, float), np.array([image] * 50, float))
    assert scale.side == side and scale.side <= scale.cap <= 2.02 * side
    if 8 < min(box) and side < 1000:
        assert scale.small[1] >= 16


def test_proposals_may_be_as_small_as_the_objects():
    assert proposed_min_size(np.full((100, 2), 60.0)) == 16
    assert proposed_min_size(np.full((100, 2), 12.0)) == 6
    assert proposed_min_size(np.full((100, 2), 1.0)) == 2


def test_a_large_set_is_trained_as_voc_was():
    assert proposed_changes(5010) and proposed_changes(5011) == {}
