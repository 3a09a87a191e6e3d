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
