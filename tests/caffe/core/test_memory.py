"""A blob's values: what numpy and the layers see of each other's writing."""
import numpy as np
import pytest
import torch

from caffe.core import memory
from caffe.core.memory import Memory

CPU = torch.device("cpu")


@pytest.fixture(params=[False, True], ids=["shared", "copied"])
def make(request, monkeypatch):
    """Makes memories, once as on the CPU and once with the copies that a GPU needs."""
    monkeypatch.setattr(memory, "needs_copy", lambda device: request.param)
    return lambda *shape, **options: Memory(shape, CPU, **options)


def test_unset_values_are_the_fill(make):
    values = make(2, 3)
    values.fill = 1.5
    assert values.is_unset
    np.testing.assert_array_equal(values.array(), np.full((2, 3), 1.5, np.float32))
    assert not values.is_unset


def test_what_numpy_writes_the_tensor_has(make):
    values = make(3)
    values.array()[1] = 7
    assert values.get().tolist() == [0, 7, 0]


def test_what_a_layer_sets_numpy_sees(make):
    values = make(3)
    values.array()
    values.set(torch.tensor([1.0, 2, 3]))
    assert values.array().tolist() == [1, 2, 3]


def test_in_place_updates_are_seen_after_touch(make):
    values = make(2)
    values.array()[...] = 1
    values.get().mul_(5)
    values.touch()
    assert values.array().tolist() == [5, 5]


def test_arrays_are_in_caffes_order(make):
    tensor = torch.arange(24.0).view(1, 2, 3, 4).contiguous(memory_format=torch.channels_last)
    values = make(1, 2, 3, 4)
    values.set(tensor)
    array = values.array()
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array.ravel(), np.arange(24))


def test_parameters_keep_memory_and_layout():
    weight = torch.zeros(2, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    values = Memory(weight.shape, CPU, weight, keeps_layout=True)
    values.array()[1, 2, 0, 1] = 4
    assert weight[1, 2, 0, 1] == 4
    values.load(np.ones((2, 3, 2, 2)))
    assert weight.sum() == weight.numel()


def test_uploads_go_to_where_a_parameter_is(make):
    weight = torch.zeros(2, 3)
    values = make(2, 3, tensor=weight, keeps_layout=True)
    values.array()[...] = 2
    values.get()
    assert weight.sum() == 12


def test_borrowed_tensors_are_not_written_to(make):
    lent = torch.ones(3)
    values = make(3)
    values.set(lent, owned=False)
    values.array()[...] = 5
    values.add(torch.ones(3))
    assert lent.tolist() == [1, 1, 1]
    assert values.get().tolist() == [6, 6, 6]


def test_a_part_of_a_tensor_is_not_written_to(make):
    whole = torch.zeros(4)
    values = make(2)
    values.set(whole[:2])
    values.array()[...] = 3
    assert whole.tolist() == [0, 0, 0, 0]
    assert values.get().tolist() == [3, 3]


def test_add_takes_the_first_and_adds_the_next(make):
    values, first = make(2), torch.tensor([1.0, 2])
    values.add(first)
    assert values.get() is first
    values.add(torch.ones(2))
    values.add(torch.ones(2))
    assert values.get().tolist() == [3, 4]
    assert first.tolist() == [1, 2]


def test_a_living_array_follows_when_settled():
    values = Memory((2,), CPU)
    array = values.array()
    values.set(torch.tensor([1.0, 2]))
    values.settle()
    assert array.tolist() == [1, 2]
    array[0] = 9
    assert values.get().tolist() == [9, 2]


def test_a_slice_keeps_the_array_alive():
    values = Memory((2, 2), CPU)
    row = values.array()[1]
    values.set(torch.ones(2, 2))
    values.settle()
    assert row.tolist() == [1, 1]


def test_a_forgotten_array_costs_nothing():
    values = Memory((2,), CPU)
    values.array()
    tensor = torch.ones(2)
    values.set(tensor)
    values.settle()
    assert values.get() is tensor and not values.is_viewed


def test_settling_does_not_change_what_a_graph_remembers():
    values = Memory((2,), CPU)
    array = values.array()
    array[...] = 3
    leaf = values.get().detach().requires_grad_()
    result = leaf * leaf
    values.set(result.detach())
    assert values.get().tolist() == [9, 9]
    gradient, = torch.autograd.grad(result.sum(), leaf)
    assert gradient.tolist() == [6, 6]


def test_unset_is_seen_by_a_living_array():
    values = Memory((2,), CPU)
    array = values.array()
    array[...] = 3
    values.unset()
    assert array.tolist() == [0, 0]


@pytest.mark.parametrize("shape, expected", [((3,), [1, 2, 3]), ((2, 1), [[1], [2]]),
                                             ((5,), [0, 0, 0, 0, 0])])
def test_fit_keeps_the_first_values_while_there_is_room(make, shape, expected):
    values = make(4)
    values.array()[...] = [1, 2, 3, 4]
    values.fit(shape)
    assert values.shape == shape
    assert values.array().tolist() == expected


def test_load_takes_read_only_and_unaligned_arrays(make):
    buffer = np.frombuffer(b"x" + np.array([1, 2], np.float32).tobytes(), np.uint8)[1:]
    values = make(2)
    values.load(np.frombuffer(buffer, np.float32))
    assert values.get().tolist() == [1, 2]


def test_setting_ends_freshness(make):
    values = make(1)
    values.fresh = True
    values.set(torch.ones(1))
    assert not values.fresh


def test_deferred_values_are_computed_by_the_first_reader():
    memory, calls = Memory((2,), torch.device("cpu")), []

    def compute():
        calls.append(1)
        memory.set(torch.tensor([1.0, 2.0, 3.0]))

    memory.defer((3,), compute)
    assert memory.shape == (3,) and memory.is_deferred and not memory.is_unset and not calls
    assert memory.array().tolist() == memory.get().tolist() == [1, 2, 3]
    assert len(calls) == 1 and not memory.is_deferred


def test_values_that_replace_deferred_ones():
    memory = Memory((2,), torch.device("cpu"))
    memory.defer((3,), lambda: pytest.fail("nobody reads them"))
    memory.set(torch.ones(2))
    assert memory.array().tolist() == [1, 1]
    memory.defer((3,), lambda: pytest.fail("nobody reads them"))
    memory.unset()
    assert memory.array().tolist() == [0, 0, 0]


def test_the_stamp_shows_that_values_may_have_changed():
    memory = Memory((2,), torch.device("cpu"), torch.zeros(2))
    lent = torch.zeros(2)
    changes = [memory.array, lambda: memory.copy_(torch.ones(2)), lambda: memory.unset(),
               lambda: memory.load(np.ones(2)), lambda: memory.add(torch.ones(2)), memory.touch,
               lambda: memory.fit((1,)), lambda: memory.lend(lent), lambda: lent[:1].add_(1)]
    for change in changes:
        before = memory.stamp()
        assert memory.stamp() == before
        change()
        assert memory.stamp() != before


def test_kept_values_do_not_change():
    memory = Memory((2,), torch.device("cpu"))
    held = memory.array()
    of_held = memory.keep()
    held[...] = 4
    del held
    memory.set(torch.zeros(2))
    memory.fresh = True
    alone = memory.keep()
    assert alone is memory.get() and not memory.fresh
    memory.array()[...] = 5
    assert of_held.tolist() == alone.tolist() == [0, 0] and memory.get().tolist() == [5, 5]
    tensor = torch.zeros(2)
    memory.set(tensor, owned=False)
    of_another = memory.keep()
    tensor += 1
    assert of_another.tolist() == [0, 0] and memory.get().tolist() == [1, 1]


@pytest.mark.parametrize("is_new", [False, True], ids=["values", "fill"])
def test_an_array_of_an_inference_tensor_gets_later_values(is_new):
    memory = Memory((2,), CPU)
    with torch.inference_mode():
        if not is_new:
            memory.set(torch.ones(2))
        array = memory.array()
    assert array.tolist() == [not is_new] * 2
    memory.set(torch.full((2,), 5.0))
    memory.settle()
    assert array.tolist() == [5, 5]
    memory.unset()
    assert array.tolist() == [0, 0]
