"""A stop-watch that knows its mean."""
import time


class Timer:
    """`tic()` starts, `toc()` stops and returns the mean of all intervals so far, in seconds.

    Attributes: total_time, calls, diff (the last interval), average_time.
    """

    def __init__(self):
        self.total_time = 0.0
        self.calls = 0
        self.start_time = 0.0
        self.diff = 0.0
        self.average_time = 0.0

    def tic(self):
        self.start_time = time.perf_counter()

    def toc(self, average=True):
        """Ends the interval; returns the mean interval, or this one when `average` is false."""
        self.diff = time.perf_counter() - self.start_time
        self.total_time += self.diff
        self.calls += 1
        self.average_time = self.total_time / self.calls
        return self.average_time if average else self.diff
