"""Line charts as numbers for an SVG: the template draws them, so that all texts are escaped there.

A chart is WIDTH x HEIGHT units wide; lines are given in data and held as SVG's point lists.
"""
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WIDTH, HEIGHT = 320, 210
LEFT, RIGHT, TOP, BOTTOM = 38, 10, 10, 34       # margins for the labels
MEASURES = {"mean_ap": "Mean AP", "recall": "Mean recall"}      # of validations, from 0 to 1
MOST_POINTS = 400                               # of a line; more are thinned out


@dataclass(frozen=True)
class Line:
    """A line: its name, x and y in data (nan: a gap), and its style, a class of the style sheet."""

    name: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    style: str = "main"


@dataclass(frozen=True)
class Tick:
    """A mark of an axis: its place in the chart's units and its label."""

    at: float
    label: str


@dataclass(frozen=True)
class DrawnLine:
    """A line in the chart's units: `paths` for SVG's polyline, one per stretch without gaps."""

    name: str
    style: str
    paths: list[str]


@dataclass(frozen=True)
class Chart:
    """A chart to be drawn; marker: (x, y, label) in the chart's units, or None."""

    title: str
    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[DrawnLine]
    marker: tuple[float, float, str] | None = None
    width: int = WIDTH
    height: int = HEIGHT
    plot: tuple[int, int, int, int] = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)


Range = tuple[float, float]


def line_chart(title: str, labels: tuple[str, str], lines: Sequence[Line],
               ranges: tuple[Range | None, Range | None] = (None, None),
               marker: tuple[float, float, str] | None = None) -> Chart:
    """A chart of lines. labels, ranges: of x and y, a range None follows the data; marker: a point
    (x, y, label) in data.
    """
    x_range, y_range = (given or _range([getattr(line, axis) for line in lines])
                        for given, axis in zip(ranges, "xy"))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_range[0]) / (x_range[1] - x_range[0])
        up = (y - y_range[0]) / (y_range[1] - y_range[0])
        return (round(LEFT + across * (WIDTH - LEFT - RIGHT), 1),
                round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1))

    drawn = [DrawnLine(line.name, line.style, [
        " ".join("{},{}".format(*place(x, y)) for x, y in stretch) for stretch in _stretches(line)])
        for line in lines]
    spot = None if marker is None else (*place(*marker[:2]), marker[2])
    return Chart(title, *labels, [Tick(place(value, y_range[0])[0], text) for value, text in
                                  _ticks(x_range, 5)],
                 [Tick(place(x_range[0], value)[1], text) for value, text in _ticks(y_range, 5)],
                 drawn, spot)


def _range(columns: Sequence[Any]) -> Range:
    """From 0, or below, to the largest finite value; losses and counts begin at 0."""
    values = np.concatenate([np.asarray(column, np.float64) for column in columns] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    low, high = min(0.0, values.min(initial=0.0)), values.max(initial=0.0)
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1)


def _ticks(limits: Range, most: int) -> list[tuple[float, str]]:
    """Round values in a range, at most `most` steps apart, with their labels."""
    rough = (limits[1] - limits[0]) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(limits[0] / step - 1e-9)
    values = [step * i for i in range(first, math.floor(limits[1] / step + 1e-9) + 1)]
    return [(value, tick_label(value)) for value in values]


def tick_label(value: float) -> str:
    """A short label: 0.25, 12, 1.5k, 40k."""
    if abs(value) >= 1000:
        return f"{value / 1000:.4g}k"
    return f"{value:.3g}" if value else "0"


def _stretches(line: Line) -> list[list[tuple[float, float]]]:
    """The points of a line, thinned out, in stretches without gaps; a lone point twice: a dot."""
    x, y = (np.asarray(values, np.float64) for values in (line.x, line.y))
    if len(x) > MOST_POINTS:
        chosen = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).astype(int))
        x, y = x[chosen], y[chosen]
    stretches: list[list[tuple[float, float]]] = [[]]
    for point in zip(x.tolist(), y.tolist()):
        if math.isfinite(point[0]) and math.isfinite(point[1]):
            stretches[-1].append(point)
        elif stretches[-1]:
            stretches.append([])
    return [stretch * 2 if len(stretch) == 1 else stretch for stretch in stretches if stretch]


def smoothed(values: Sequence[float], width: int) -> np.ndarray:
    """(N,) running means of the last `width` values; a value that is not finite is left out."""
    given = np.asarray(values, np.float64)
    fine = np.isfinite(given)
    sums, counts = (np.concatenate(([0.0], np.cumsum(column)))
                    for column in (np.where(fine, given, 0), fine))
    last = np.arange(1, len(given) + 1)
    first = np.maximum(last - width, 0)
    with np.errstate(invalid="ignore"):
        return (sums[last] - sums[first]) / (counts[last] - counts[first])


def training_charts(points: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """The charts of a training step: its loss, the parts of the loss, what validations
    measured."""
    charts = []
    losses = _column(points, "loss")
    if losses:
        x, y = zip(*losses)
        width = max(1, len(y) // 25)
        charts.append(line_chart("Loss", ("iteration", ""), [
            Line("every point", x, y, "faint"), Line("running mean", x, smoothed(y, width))]))
    names = sorted({name for point in points for name in point if name.startswith("loss/")})
    if len(names) > 1:
        lines = []
        for number, name in enumerate(names):
            x, y = zip(*_column(points, name))
            lines.append(Line(name.removeprefix("loss/"), x,
                              smoothed(y, max(1, len(y) // 25)), f"part{number % 6}"))
        charts.append(line_chart("Parts of the loss (running means)", ("iteration", ""), lines))
    for key, words in MEASURES.items():
        validations = _column(points, key)
        if validations:
            x, y = zip(*validations)
            charts.append(line_chart(f"{words} of validations", ("iteration", ""),
                                     [Line(words, x, y)], (None, (0.0, 1.0))))
    return charts


def _column(points: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    """(iteration, value) of the points that have a value."""
    return [(float(point["iteration"]), float("nan") if point[name] is None else float(point[name]))
            for point in points if name in point and isinstance(point.get("iteration"), int)
            and (point[name] is None or isinstance(point[name], (int, float)))]
