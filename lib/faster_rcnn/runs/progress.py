"""How far a run has come: a bar on a terminal, lines at intervals elsewhere."""
import datetime
import logging
import time
from collections.abc import Mapping
from typing import TextIO

from faster_rcnn.runs.terminal import close_bar, open_bar

log = logging.getLogger(__name__)

IMAGES_PER_LINE = 100       # where there is no bar
PAUSE = 0.5                 # seconds between losses on the bar where there is no display


class ProgressDisplay:
    """Shows losses, rate, images per second and remaining time of a training.

    iterations: (first, last); images: per iteration; display: iterations between lines where
    `stream` (where a bar would be drawn) is no terminal, 0 for none.
    """

    def __init__(self, iterations: tuple[int, int], images: int, display: int,
                 stream: TextIO | None = None) -> None:
        self._first, self._last = iterations
        self._images, self._display = images, display
        self._start = time.perf_counter()
        self._shown = 0.0       # when the bar was drawn last
        self._bar = open_bar(self._last, self._first, "it", stream)

    def is_due(self, iteration: int) -> bool:
        """Whether `update` has losses to show of this iteration: every `display` iterations; on a
        bar without display twice a second at most."""
        if self._display:
            return iteration % self._display == 0
        now = time.perf_counter()
        is_due = self._bar is not None and now - self._shown > PAUSE
        self._shown = now if is_due else self._shown
        return is_due

    def advance(self, iteration: int) -> None:
        """Takes the iterations done so far."""
        if self._bar is not None:
            self._bar.update(iteration - self._bar.n)

    def update(self, iteration: int, loss: float, rate: float,
               losses: Mapping[str, float] | None = None) -> None:
        """Takes the iterations done so far, the smoothed loss, the learning rate, and where a line
        is due the losses of the net by name.
        """
        speed = (iteration - self._first) / max(time.perf_counter() - self._start, 1e-9)
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.4f}, rate {rate:g}, "
                                      f"{speed * self._images:.1f} images/s", refresh=False)
            self.advance(iteration)
        elif self._display and iteration % self._display == 0:
            left = datetime.timedelta(seconds=round((self._last - iteration) / speed))
            parts = ", ".join(f"{name} {value:.4f}" for name, value in (losses or {}).items())
            log.info("iteration %d of %d: loss %.4f%s, rate %g, %.1f images/s, %s left", iteration,
                     self._last, loss, f" ({parts})" if parts else "", rate, speed * self._images,
                     left)

    def close(self) -> None:
        """Removes the bar from the terminal."""
        close_bar(self._bar)


class ImageProgress:
    """Shows how many of `total` images a loop has done: a bar, or a line per 100 images.

    name: what the lines start with. The log has a line of every image.
    """

    def __init__(self, name: str, total: int, stream: TextIO | None = None) -> None:
        self._name, self._total = name, total
        self._bar = open_bar(total, 0, "images", stream)
        if self._bar is not None:
            self._bar.set_description(name)

    def update(self, number: int, times: str) -> None:
        """Takes the number of images done and the mean times per image, as text."""
        is_due = number % IMAGES_PER_LINE == 0 or number == self._total
        log.log(logging.INFO if is_due and self._bar is None else logging.DEBUG, "%s: %d/%d %s",
                self._name, number, self._total, times)
        if self._bar is not None:
            self._bar.update(number - self._bar.n)

    def close(self) -> None:
        """Removes the bar from the terminal."""
        close_bar(self._bar)
