"""The losses of the last iterations, which nobody waits for until they are asked for."""
import collections


class RecentLosses:
    """The last `count` losses; `add` takes scalars on the device, the rest are floats."""

    def __init__(self, count):
        self._losses = collections.deque(maxlen=count)
        self._new = []

    def add(self, loss):
        """Notes a loss, without waiting for the device."""
        self._new.append(loss)
        if len(self._new) > self._losses.maxlen:
            self.values()

    def values(self):
        """All that are kept, the oldest first."""
        self._losses.extend(map(float, self._new))
        self._new.clear()
        return list(self._losses)

    def load(self, values):
        """Keeps these and forgets the others."""
        self._new.clear()
        self._losses.clear()
        self._losses.extend(map(float, values))

    @property
    def last(self):
        """The newest; NaN if there is none."""
        return (self.values() or [float("nan")])[-1]

    @property
    def mean(self):
        """The mean of all that are kept; NaN if there is none."""
        values = self.values()
        return sum(values) / len(values) if values else float("nan")
