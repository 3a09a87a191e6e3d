"""The mean time of something that is done again and again (utils.timer)."""
import time

import caffe


class Timer:
    """`tic()` starts, `toc()` stops and returns the mean of all intervals so far, in seconds.

    The clock is caffe.Timer, which waits for the GPU. Attributes: total_time, calls, start_time
    (seconds since the epoch), diff (the last interval), average_time.
    """

    def __init__(self) -> None:
        self._clock = caffe.Timer()
        self.total_time = 0.0
        self.calls = 0
        self.start_time = 0.0
        self.diff = 0.0
        self.average_time = 0.0

    def tic(self) -> None:
        """Starts an interval."""
        self.start_time = time.time()
        self._clock.start()

    def toc(self, average: bool = True) -> float:
        """Ends the interval; returns the mean interval, or this one when `average` is false."""
        self._clock.stop()
        self.diff = self._clock.ms / 1e3
        self.total_time += self.diff
        self.calls += 1
        self.average_time = self.total_time / self.calls
        return self.average_time if average else self.diff
