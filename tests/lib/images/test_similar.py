"""Pictures that look alike."""
import cv2
import numpy as np
import own_folders
import pytest

from faster_rcnn.images import similar
from faster_rcnn.images.similar import groups_of, looks_of, similar_pairs


@pytest.fixture
def paths(tmp_path):
    """Five different pictures."""
    return [str(own_folders.picture(tmp_path / f"{number}.png", number, (640, 480)))
            for number in range(5)]


def changed(path, kind):
    im = cv2.imread(path)
    if kind == "smaller":
        return cv2.resize(im, (320, 240), interpolation=cv2.INTER_AREA)
    if kind == "moved":
        return np.roll(im, 4, axis=1)
    if kind == "brighter":
        return cv2.convertScaleAbs(im, alpha=1.02, beta=3)
    return im


@pytest.mark.parametrize("kind", ["same", "smaller", "moved", "brighter", "jpeg"])
def test_copies_look_alike_and_others_do_not(tmp_path, paths, kind):
    other = str(tmp_path / f"copy{'.jpg' if kind == 'jpeg' else '.png'}")
    cv2.imwrite(other, changed(paths[3], kind))
    assert similar_pairs(looks_of([*paths, other])).tolist() == [[3, 5]]


def test_pairs_of_many_blocks(monkeypatch, paths):
    monkeypatch.setattr(similar, "BLOCK", 2)
    twice = [*paths, *paths]
    assert sorted(map(tuple, similar_pairs(looks_of(twice)).tolist())) == [
        (number, number + 5) for number in range(5)]


def test_pictures_that_cannot_be_read_are_alike_to_none(tmp_path, paths):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    broken = [str(tmp_path / "a.jpg"), str(tmp_path / "not there.jpg")]
    looks = looks_of([*broken, *paths])
    assert looks.readable.tolist() == [False] * 2 + [True] * 5
    assert len(similar_pairs(looks)) == 0
    assert len(similar_pairs(looks_of([]))) == 0


def test_grey_areas_differ_by_their_brightness(tmp_path):
    for value in (0, 100, 102):
        cv2.imwrite(str(tmp_path / f"{value}.png"), np.full((60, 80, 3), value, np.uint8))
    looks = looks_of([str(tmp_path / f"{value}.png") for value in (0, 100, 102)])
    assert similar_pairs(looks).tolist() == [[1, 2]]


def test_groups_connect_pairs():
    groups = groups_of(6, np.array([[0, 2], [2, 5], [1, 3]]))
    assert groups[0] == groups[2] == groups[5] and groups[1] == groups[3]
    assert len(set(groups)) == 3
