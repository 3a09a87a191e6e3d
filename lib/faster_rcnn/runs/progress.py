"""How far a training has come: a bar on a terminal, lines at intervals elsewhere."""
import contextlib
import datetime
import logging
import sys
import time
from typing import TextIO

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from faster_rcnn.runs import processes

log = logging.getLogger(__name__)


class ProgressDisplay:
    """Shows loss, rate, images per second and remaining time of a training.

    iterations: (first, last); images: per iteration; display: iterations between lines where
    `stream` (stderr) is no terminal, 0 for none.
    """

    def __init__(self, iterations: tuple[int, int], images: int, display: int,
                 stream: TextIO | None = None) -> None:
        self._first, self._last = iterations
        self._images, self._display = images, display
        self._start = time.perf_counter()
        stream = sys.stderr if stream is None else stream
        self._bar, self._log_lines = None, contextlib.ExitStack()
        if stream.isatty() and processes.is_first():
            self._log_lines.enter_context(logging_redirect_tqdm())     # above the bar
            self._bar = tqdm(total=self._last, initial=self._first, unit="it", file=stream,
                             dynamic_ncols=True, leave=False)

    def update(self, iteration: int, loss: float, rate: float) -> None:
        """Takes the iterations done so far, the smoothed loss and the learning rate."""
        speed = (iteration - self._first) / max(time.perf_counter() - self._start, 1e-9)
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.4f}, rate {rate:g}, "
                                      f"{speed * self._images:.1f} images/s", refresh=False)
            self._bar.update(iteration - self._bar.n)
        elif self._display and iteration % self._display == 0:
            left = datetime.timedelta(seconds=round((self._last - iteration) / speed))
            log.info("iteration %d of %d: loss %.4f, rate %g, %.1f images/s, %s left", iteration,
                     self._last, loss, rate, speed * self._images, left)

    def close(self) -> None:
        """Removes the bar from the terminal."""
        if self._bar is not None:
            self._bar.close()
        self._log_lines.close()
