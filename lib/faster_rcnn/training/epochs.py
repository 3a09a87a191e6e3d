"""Iterations from epochs, and the schedule that fits a number of pictures.

An epoch is every training picture once, mirrored or not. Pure functions: no settings, no data set.
"""
import math
from collections.abc import Sequence
from dataclasses import dataclass

# VOC 2007: 5,011 pictures, 70,000 iterations of one picture, the rate drops after 50,000
USUAL_IMAGES, USUAL_ITERATIONS = 5011, 70_000
# With fewer pictures each is seen more often: iterations grow with this power of the number
POWER = 0.85
LEAST_ITERATIONS = 1000
# Share of the iterations after which the rate drops
DROP = 0.75


@dataclass(frozen=True)
class StageNumbers:
    """Of one training: iterations, and after how many the rate drops."""

    iterations: int
    drop: int


def iterations_for(epochs: float, num_images: int, ims_per_batch: int = 1) -> int:
    """The iterations in which `epochs` times `num_images` pictures are seen, at least 1.

    ims_per_batch: pictures of one iteration, of all processes together.
    """
    return max(1, math.ceil(epochs * num_images / ims_per_batch))


def proposed_epochs(num_images: int) -> float:
    """How often each of a number of pictures is to be seen: 14 times where there are as many as in
    VOC 2007, more where there are fewer.
    """
    images = max(1, num_images)
    usual = USUAL_ITERATIONS * (images / USUAL_IMAGES) ** POWER
    return max(LEAST_ITERATIONS, min(USUAL_ITERATIONS, usual)) / images


def stage_numbers(epochs: float, num_images: int,
                  ims_per_batch: Sequence[int] = (1,)) -> tuple[StageNumbers, ...]:
    """The StageNumbers of every training step; ims_per_batch: pictures of an iteration of each."""
    iterations = [iterations_for(epochs, num_images, ims) for ims in ims_per_batch]
    return tuple(StageNumbers(count, max(1, round(DROP * count))) for count in iterations)


def proposed_schedule(num_images: int,
                      ims_per_batch: Sequence[int] = (1,)) -> tuple[StageNumbers, ...]:
    """As stage_numbers, with the proposed epochs."""
    return stage_numbers(proposed_epochs(num_images), num_images, ims_per_batch)
