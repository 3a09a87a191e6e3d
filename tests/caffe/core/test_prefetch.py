"""The order, the failures and the end of what is read ahead."""
import itertools
import threading

import pytest

from caffe.core.prefetch import Prefetcher


def test_items_keep_their_order_and_are_made_ahead():
    made = []

    def items():
        for i in itertools.count():
            made.append(i)
            yield i

    reader = Prefetcher(items(), 3)
    assert [reader.next() for _ in range(20)] == list(range(20))
    assert set(range(20)) <= set(made) <= set(range(24))    # never more than 3 beyond those taken


def test_without_a_thread_nothing_is_made_ahead():
    numbers = itertools.count()
    reader = Prefetcher(numbers, 0)
    assert [reader.next(), reader.next(), next(numbers)] == [0, 1, 2]


@pytest.mark.parametrize("ahead", [0, 2])
def test_a_failure_comes_in_its_turn_and_stays(ahead):
    def items():
        yield 1
        raise ValueError("broken")

    reader = Prefetcher(items(), ahead)
    assert reader.next() == 1
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"):
            reader.next()


def test_the_iterator_is_let_go_with_the_reader():
    closed = threading.Event()

    def items():
        try:
            yield from itertools.count()
        finally:
            closed.set()

    reader = Prefetcher(items(), 2)
    reader.next()
    del reader
    assert closed.wait(5)


@pytest.mark.parametrize("ahead", [0, 1, 7])
@pytest.mark.parametrize("make, threads", [(None, 1), (lambda i: i, 1), (lambda i: i, 3)])
def test_it_ends_with_its_items(ahead, make, threads):
    reader = Prefetcher(range(5), ahead, make, threads)
    assert list(reader) == list(range(5))
    assert list(reader) == []


def test_threads_make_items_at_once_and_in_order():
    together = threading.Barrier(3, timeout=10)

    def square(i):
        together.wait()
        return i * i

    assert list(Prefetcher(range(9), 8, square, threads=3)) == [i * i for i in range(9)]


def test_elements_are_taken_in_the_callers_thread_and_not_too_early():
    taken = []

    def elements():
        for i in itertools.count():
            taken.append((i, threading.get_ident()))
            yield i

    reader = Prefetcher(elements(), 2, str, threads=2)
    assert [reader.next() for _ in range(4)] == list("0123")
    assert taken == [(i, threading.get_ident()) for i in range(6)]


@pytest.mark.parametrize("ahead", [0, 3])
def test_failures_of_elements_and_of_their_work_come_in_their_turn(ahead):
    def elements():
        yield 1
        yield 2
        raise KeyError("no more")

    reader = Prefetcher(elements(), ahead, str)
    assert [reader.next(), reader.next()] == ["1", "2"]
    for _ in range(2):
        with pytest.raises(KeyError, match="no more"):
            reader.next()
    reader = Prefetcher([2, 0, 1], ahead, lambda i: 2 // i)
    assert reader.next() == 1
    with pytest.raises(ZeroDivisionError):
        reader.next()


def test_several_threads_need_work_to_share():
    with pytest.raises(ValueError, match="threads=2"):
        Prefetcher([], 1, threads=2)
