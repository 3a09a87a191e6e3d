"""Minibatches made ahead of time by threads, in an order and with contents that do not depend on
them.
"""
import collections
import weakref
from concurrent.futures import Future, ThreadPoolExecutor


class MinibatchLoader:
    """Iterates over make(image numbers, seed) for what an ImageOrder gives.

    make must draw from the seed only. OpenCV and torch leave the interpreter's lock while they
    work, so threads are enough. With threads=0 minibatches are made when they are asked for.
    """

    def __init__(self, order, make, threads):
        self._order, self._make = order, make
        self._pool = ThreadPoolExecutor(threads, "minibatch") if threads > 0 else None
        if self._pool is not None:
            weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        self._ahead = 2 * threads
        self._pending = collections.deque()   # (image numbers, future, order's state behind it)
        self._state = order.state_dict()

    def next(self):
        """Image numbers and content of the next minibatch; an exception of `make` surfaces here."""
        if not self._pending:
            self._schedule()
        inds, future, state = self._pending.popleft()
        while len(self._pending) < self._ahead:
            self._schedule()
        content = future.result()
        self._state = state
        return inds, content

    def _schedule(self):
        inds, seed = self._order.next()
        self._pending.append((inds, self._submit(inds, seed), self._order.state_dict()))

    def _submit(self, inds, seed):
        if self._pool is not None:
            return self._pool.submit(self._make, inds, seed)
        done = Future()
        done.set_result(self._make(inds, seed))
        return done

    def state_dict(self):
        """The order's state as of the last minibatch that `next` returned."""
        return dict(self._state)

    def load_state_dict(self, state):
        """Continues behind the minibatch after which the state was taken."""
        for _, future, _ in self._pending:
            future.cancel()
        self._pending.clear()
        self._order.load_state_dict(state)
        self._state = self._order.state_dict()
