"""Data set cards: what they say, and what is said about wrong ones."""
import os

import pytest
from voc_folder import write_card, write_set, write_text

from faster_rcnn.datasets.cards import CardError, list_cards, load_card
from faster_rcnn.datasets.factory import UnknownDatasetError, get_imdb, list_imdbs, register_imdb
from faster_rcnn.settings.config import cfg
from faster_rcnn.synthetic import shapes


def test_shipped_cards_can_be_loaded():
    assert {"bccd", "shapes", "voc_0712", "voc_2007", "voc_2012"} <= set(list_cards())
    for name in list_cards():
        card = load_card(name)
        assert card.name == name
        assert all(os.path.isabs(root) for root in card.roots)


def test_shipped_cards_fit_their_data():
    assert load_card("shapes").classes == shapes.CLASSES
    assert load_card("bccd").roots == (os.path.join(cfg.ROOT_DIR, "data", "BCCD", "VOC2007"),)
    voc = load_card("voc_2007")
    assert len(voc.classes) == 20 and list(voc.classes) == sorted(voc.classes)
    assert load_card("voc_2012").classes == load_card("voc_0712").classes == voc.classes
    assert (voc.metric, load_card("voc_2012").metric) == ("voc07", "area")
    joined = load_card("voc_0712")
    assert [len(joined.split_files(split)) for split in ("trainval", "test")] == [2, 1]


def test_root_is_looked_for_beside_a_card_given_by_path(tmp_path):
    (tmp_path / "pictures").mkdir()
    card = load_card(write_card(tmp_path, "pictures"))
    assert card.roots == (str(tmp_path / "pictures"),)
    assert load_card(write_card(tmp_path, "elsewhere")).roots == (
        os.path.join(cfg.ROOT_DIR, "elsewhere"),)


def test_background_may_be_listed(tmp_path):
    card = load_card(write_card(tmp_path, ".", classes="[__background__, cat]"))
    assert card.classes == ("cat",)


@pytest.mark.parametrize("options, words", [
    ({"clases": "[a]"}, r':5: "clases" is no key.*did you mean "classes"'),
    ({"classes": "[]"}, ":4: classes must be a list"),
    ({"classes": "[cat, no]"}, ":4: .*received False"),
    ({"classes": "[cat, CAT]"}, ':4: the class "CAT" is listed twice'),
    ({"classes": "[__background__]"}, "besides the background"),
    ({"format": "yolo", "classes": "[__background__, cat]"}, "leave it out, or where"),
    ({"format": "vok"}, r':2: format "vok" is unknown \(did you mean "voc"'),
    ({"metric": "voc"}, r':5: metric "voc" is unknown'),
    ({"on_bad_box": "drop"}, ":5: on_bad_box"),
    ({"root": "3"}, ":3: root must be a list of texts"),
    ({"splits": "[train]"}, ":5: splits must map"),
    ({"splits": "{train: [a.txt, b.txt]}"}, ":5: split train must be"),
    ({"train": "1"}, ":5: train must be a text"),
    ({"name": "a/b"}, r':1: "a/b" cannot be used'),
])
def test_wrong_cards_are_explained_with_file_and_line(tmp_path, options, words):
    path = write_card(tmp_path, **{"root": ".", **options} if "name" not in options
                      else {"root": "."})
    if "name" in options:
        text = open(path).read().replace("name: tiny", f"name: {options['name']}")
        path = write_text(tmp_path, "tiny.yml", text)
    with pytest.raises(CardError, match=words) as raised:
        load_card(path)
    assert str(raised.value).startswith(path + ":") and "\n" not in str(raised.value)


@pytest.mark.parametrize("missing", ["format", "root", "classes"])
def test_missing_keys_are_named(tmp_path, missing):
    path = write_card(tmp_path, ".")
    kept = [line for line in open(path) if not line.startswith(missing)]
    path = write_text(tmp_path, "less.yml", "".join(kept))
    with pytest.raises(CardError, match=f'the card has no "{missing}"'):
        load_card(path)


def test_card_that_is_no_mapping_or_not_there(tmp_path):
    with pytest.raises(CardError, match="mapping"):
        load_card(write_text(tmp_path, "list.yml", "- a\n"))
    with pytest.raises(ValueError, match=r"broken\.yml:2"):
        load_card(write_text(tmp_path, "broken.yml", "a: 1\n b: [\n"))
    with pytest.raises(CardError, match="does not exist"):
        load_card(str(tmp_path / "none.yml"))
    with pytest.raises(CardError, match='did you mean "bccd"'):
        load_card("bcdc")


# ------------------------------------------------------------------------------------------ factory

def test_names_of_data_sets():
    names = list_imdbs()
    assert {"voc_2007_trainval", "voc_2012_val", "voc_0712_trainval", "bccd_test",
            "shapes_trainval"} <= set(names)
    assert names == sorted(names)


def test_unknown_data_set_lists_the_known_ones():
    with pytest.raises(UnknownDatasetError, match="Unknown dataset: bcdc_trainval") as raised:
        get_imdb("bcdc_trainval")
    assert isinstance(raised.value, KeyError)
    assert 'did you mean "bccd_trainval"?' in str(raised.value)
    assert "voc_2007_test" in str(raised.value)


def test_card_by_path(tmp_path):
    root = write_set(tmp_path / "set", {"a": [("cat", (1, 1, 9, 9))]})
    path = write_card(tmp_path, root)
    data_set = get_imdb(path + ":trainval")
    assert (data_set.name, data_set.classes, data_set.image_index) == (
        "tiny_trainval", ("__background__", "Cat", "dog"), ["a"])
    assert get_imdb(path).name == "tiny_trainval"       # the card says what to train on
    with pytest.raises(CardError, match="split test needs"):
        get_imdb(path, "test")


def test_missing_folder_and_split_are_explained(tmp_path):
    with pytest.raises(CardError, match="nowhere does not exist; put or link"):
        get_imdb(write_card(tmp_path, "nowhere") + ":trainval")
    root = write_set(tmp_path / "set", {"a": [("cat", (1, 1, 9, 9))]})
    with pytest.raises(CardError, match="split test needs .*; splits that exist: trainval"):
        get_imdb(write_card(tmp_path, root) + ":test")


def test_registered_data_set(monkeypatch):
    monkeypatch.setattr("faster_rcnn.datasets.factory.__sets", {})
    register_imdb("mine", lambda: "made")
    assert get_imdb("mine") == "made" and "mine" in list_imdbs()
