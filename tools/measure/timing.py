"""Two programs timed in turn, on the CPU or on a GPU."""
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

Clock = Callable[[], float]
Run = Callable[[], Any]


def clock_of(device: str, clock: Clock = time.perf_counter) -> Clock:
    """A clock that first waits for all that a "cuda" device has been told to do."""
    if torch.device(device).type != "cuda":
        return clock

    def after_the_gpu() -> float:
        torch.cuda.synchronize()
        return clock()
    return after_the_gpu


def seconds(function: Run, clock: Clock = time.perf_counter) -> float:
    """What one call takes."""
    start = clock()
    function()
    return clock() - start


def in_turn(ours: Run, bare: Run, repeats: int, warm_up: int = 2,
            clock: Clock = time.perf_counter) -> dict[str, float]:
    """Runs both in turn: medians of both, of their ratios, and the ratio of the fastest runs."""
    for _ in range(warm_up):
        ours(), bare()
    pairs = [(seconds(ours, clock), seconds(bare, clock)) for _ in range(repeats)]
    return {"ours": statistics.median(a for a, _ in pairs),
            "bare": statistics.median(b for _, b in pairs),
            "ratio": statistics.median(a / b for a, b in pairs),
            "ratio_of_fastest": min(a for a, _ in pairs) / min(b for _, b in pairs)}
