"""Iterations that fit a number of pictures."""
from types import SimpleNamespace

import pytest

from caffe.core.errors import InputError
from faster_rcnn.training.epochs import (
    iterations_for,
    proposed_epochs,
    proposed_schedule,
    stage_numbers,
)
from faster_rcnn.training.numbers import fitting_numbers


@pytest.mark.parametrize("epochs, images, batch, iterations", [
    (1, 100, 1, 100), (3, 100, 2, 150), (2, 5, 4, 3), (0.5, 100, 1, 50), (0.001, 10, 1, 1)])
def test_iterations_of_epochs(epochs, images, batch, iterations):
    assert iterations_for(epochs, images, batch) == iterations


def test_fewer_pictures_are_seen_more_often_and_none_longer_than_voc():
    counts = (1, 20, 123, 290, 1000, 5011, 100_000)
    epochs = [proposed_epochs(count) for count in counts]
    assert epochs == sorted(epochs, reverse=True)
    iterations = [proposed_schedule(count)[0].iterations for count in counts]
    assert iterations == sorted(iterations)
    assert iterations[0] == 1000 and iterations[-2:] == [70_000, 70_000]
    assert 2000 < iterations[2] < 4000


def test_every_step_sees_as_many_pictures():
    numbers = stage_numbers(10, 200, (1, 2, 1, 2))
    assert [one.iterations for one in numbers] == [2000, 1000, 2000, 1000]
    assert [one.drop for one in numbers] == [1500, 750, 1500, 750]


def data_set(schedule="proposed", count=200):
    card = SimpleNamespace(schedule=schedule)
    return SimpleNamespace(name="pets_train", card=card, image_index=list(range(count)) * 2)


def test_who_says_how_long():
    assert fitting_numbers([data_set()], (1,), True, None) is None
    assert fitting_numbers([data_set("solver")], (1,), False, None) is None
    own = SimpleNamespace(name="own", image_index=[1])
    assert fitting_numbers([own], (1,), False, None) is None
    assert fitting_numbers([data_set()], (1,), False, None) == proposed_schedule(200)
    assert fitting_numbers([data_set(), data_set()], (1,), False, None) == proposed_schedule(400)
    assert fitting_numbers([data_set("solver")], (1, 2), False, 4) == stage_numbers(4, 200, (1, 2))
    with pytest.raises(InputError, match="--iters and --epochs cannot be given together"):
        fitting_numbers([data_set()], (1,), True, 3)
