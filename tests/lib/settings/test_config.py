"""fast_rcnn.config: merging, its errors, and taking changes back."""
import pathlib
import re

import numpy as np
import pytest

from faster_rcnn.settings.config import (
    ConfigKeyError,
    ConfigValueError,
    cfg,
    cfg_from_file,
    cfg_from_list,
    cfg_override,
    get_output_dir,
)


@pytest.fixture(autouse=True)
def untouched():
    with cfg_override():
        yield


def write(tmp_path, text):
    path = tmp_path / "options.yml"
    path.write_text(text)
    return str(path)


def test_file_merges_nested_options_and_keeps_the_rest(tmp_path):
    cfg_from_file(write(tmp_path, "EXP_DIR: trial\nTRAIN:\n  BG_THRESH_LO: 0.0\n"
                                  "TEST:\n  HAS_RPN: True\n"))
    assert (cfg.EXP_DIR, cfg.TRAIN.BG_THRESH_LO, cfg.TEST.HAS_RPN) == ("trial", 0.0, True)
    assert cfg.TRAIN.BG_THRESH_HI == 0.5 and cfg["TRAIN"]["BG_THRESH_LO"] == 0.0


@pytest.mark.parametrize("text", ["[400, 500]", "!!python/tuple [400, 500]", "\n  - 400\n  - 500"])
def test_lists_and_tuples_stand_for_each_other(tmp_path, text):
    cfg_from_file(write(tmp_path, f"TRAIN:\n  SCALES: {text}\n".replace("\n  -", "\n    -")))
    assert cfg.TRAIN.SCALES == (400, 500) and isinstance(cfg.TRAIN.SCALES, tuple)


def test_whole_numbers_become_fractions_where_those_are_expected(tmp_path):
    cfg_from_file(write(tmp_path, "EPS: 1e-10\nTRAIN:\n  BG_THRESH_LO: 0\n"
                                  "  BBOX_NORMALIZE_STDS: [1, 1, 2, 2]\n"))
    assert isinstance(cfg.TRAIN.BG_THRESH_LO, float)
    assert all(isinstance(v, float) for v in cfg.TRAIN.BBOX_NORMALIZE_STDS)
    assert cfg.EPS == 1e-10


def test_pixel_means_keep_shape_and_dtype(tmp_path):
    cfg_from_file(write(tmp_path, "PIXEL_MEANS: [1, 2, 3]\n"))
    assert cfg.PIXEL_MEANS.shape == (1, 1, 3) and cfg.PIXEL_MEANS.dtype == np.float64


def test_empty_file_and_empty_section_change_nothing(tmp_path):
    cfg_from_file(write(tmp_path, ""))
    cfg_from_file(write(tmp_path, "TRAIN:\n"))
    assert cfg.TRAIN.BATCH_SIZE == 128


def test_unknown_key_names_file_line_and_nearest_key(tmp_path):
    path = write(tmp_path, "EXP_DIR: x\nTRAIN:\n  SCALE: [600]\n")
    with pytest.raises(ConfigKeyError) as caught:
        cfg_from_file(path)
    assert str(caught.value) == (f"{path}:3: TRAIN.SCALE is not a valid config key "
                                 "(did you mean TRAIN.SCALES?)")
    assert isinstance(caught.value, KeyError)
    assert cfg.EXP_DIR == "default"     # a refused file changes nothing


def test_key_of_another_section_is_suggested():
    with pytest.raises(ConfigKeyError, match="did you mean DEDUP_BOXES"):
        cfg_from_list(["TEST.DEDUP_BOXES", "0."])


@pytest.mark.parametrize("options, words", [
    (["TRAIN.BATCH_SIZE", "32.5"], "whole number"), (["TRAIN.BATCH_SIZE", "True"], "whole number"),
    (["TRAIN.USE_FLIPPED", "1"], "True or False"), (["TEST.NMS", "'0.3'"], "number"),
    (["TEST.SCALES", "600"], "list"), (["TEST.SCALES", "[]"], "list"),
    (["TEST.SCALES", "['a']"], "whole number"), (["PIXEL_MEANS", "[1, 2]"], "3 numbers"),
    (["TRAIN", "1"], "section"), (["EXP_DIR"], "pairs")])
def test_wrong_kinds_are_refused(options, words):
    with pytest.raises(ConfigValueError, match=words):
        cfg_from_list(options)


def test_list_values_are_literals_and_texts_stay_texts():
    cfg_from_list(["TRAIN.SCALES", "(300,)", "EXP_DIR", "2015", "TRAIN.PROPOSAL_METHOD", "rpn"])
    assert (cfg.TRAIN.SCALES, cfg.EXP_DIR, cfg.TRAIN.PROPOSAL_METHOD) == ((300,), "2015", "rpn")


def test_yaml_that_is_none_names_the_line(tmp_path):
    path = write(tmp_path, "TRAIN:\n  SCALES: [600\n")
    with pytest.raises(ValueError, match=r"options\.yml:3:1"):
        cfg_from_file(path)


def test_yaml_cannot_run_code(tmp_path):
    with pytest.raises(ValueError, match="could not determine a constructor"):
        cfg_from_file(write(tmp_path, "EXP_DIR: !!python/object/apply:os.getcwd []\n"))


def test_override_ends_with_its_block_even_by_an_error():
    section, before = cfg.TRAIN, dict(cfg.TRAIN)
    with pytest.raises(RuntimeError):
        with cfg_override(TRAIN={"HAS_RPN": True}, EXP_DIR="x"):
            assert cfg.TRAIN.HAS_RPN and cfg.EXP_DIR == "x"
            cfg.TRAIN.SCALES = (1,)
            cfg.TRAIN.ADDED = 1
            raise RuntimeError
    assert cfg.TRAIN is section and dict(cfg.TRAIN) == before and cfg.EXP_DIR == "default"
    assert "ADDED" not in cfg.TRAIN and not hasattr(cfg.TRAIN, "ADDED")


def test_output_folder_is_made(tmp_path):
    class Named:
        name = "thing"
    folder = tmp_path / "output" / "trial" / "thing"
    with cfg_override(ROOT_DIR=str(tmp_path), EXP_DIR="trial"):
        assert get_output_dir(Named) == str(folder)
        assert get_output_dir(Named, Named) == str(folder / "thing")
    assert (folder / "thing").is_dir()


def test_every_option_is_read_somewhere_or_said_to_be_kept():
    root = pathlib.Path(__file__).resolve().parents[3]
    config = (root / "lib" / "faster_rcnn" / "settings" / "config.py").read_text()
    source = "\n".join(path.read_text() for folder in ("lib", "tools")
                       for path in (root / folder).rglob("*.py") if path.name != "config.py")
    source += config[config.index("def get_output_dir"):]
    options = [*cfg.TRAIN, *cfg.TEST, *[key for key in cfg if key not in ("TRAIN", "TEST")]]
    unread = {key for key in options if not re.search(rf"\.{key}\b", source)}
    assert unread <= {"EPS", "MATLAB", "USE_PREFETCH"}
    assert config.lower().count("kept for old configurations") == 3
