"""Charts: places of points, ticks, gaps, smoothing, and which curves a training has."""
import math

import numpy as np
import pytest

from faster_rcnn.reports.html import charts
from faster_rcnn.reports.html.charts import Line, line_chart, smoothed, training_charts


def test_points_lie_in_the_corners_of_the_plot():
    chart = line_chart("a", ("x", "y"), [Line("", [0, 10], [0, 4])], ((0, 10), (0, 4)),
                       (10, 0, "corner"))
    x1, y1, x2, y2 = chart.plot
    assert chart.lines[0].paths == [f"{x1}.0,{y2}.0 {x2}.0,{y1}.0"]
    assert chart.marker == (x2, y2, "corner")


def test_a_value_that_is_missing_is_a_gap():
    chart = line_chart("a", ("x", "y"), [Line("", [0, 1, 2, 3], [1, math.nan, 1, 2])])
    lone, pair = (path.split() for path in chart.lines[0].paths)
    assert len(pair) == 2 and len(lone) == 2 and lone[0] == lone[1]     # a dot


@pytest.mark.parametrize("values", [[], [math.nan], [0.0], [7.0], [-3.0, -1.0], [math.inf, 1.0]])
def test_any_values_have_a_range(values):
    chart = line_chart("a", ("x", "y"), [Line("", range(len(values)), values)])
    for tick in (*chart.x_ticks, *chart.y_ticks):
        assert math.isfinite(tick.at)
    assert 2 <= len(chart.y_ticks) <= 7


@pytest.mark.parametrize("limits, labels", [
    ((0, 1), ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
    ((0, 40000), ["0", "10k", "20k", "30k", "40k"]),
    ((0, 3), ["0", "1", "2", "3"]),
    ((-1, 1), ["-1", "-0.5", "0", "0.5", "1"])])
def test_ticks_are_round(limits, labels):
    assert [text for _, text in charts._ticks(limits, 5)] == labels


def test_long_lines_are_thinned_out_and_keep_their_ends():
    chart = line_chart("a", ("x", "y"), [Line("", range(100000), np.ones(100000))])
    points = chart.lines[0].paths[0].split()
    assert len(points) == charts.MOST_POINTS
    assert points[0].startswith(f"{charts.LEFT}.0,")
    assert points[-1].startswith(f"{charts.WIDTH - charts.RIGHT}.0,")


def test_running_means_leave_out_what_is_not_finite():
    assert smoothed([1, 3, math.nan, 5], 2).tolist() == [1, 2, 3, 5]
    assert np.isnan(smoothed([math.nan], 3)).all() and len(smoothed([], 3)) == 0


def test_a_training_has_the_curves_that_its_points_hold():
    points = [{"iteration": i, "loss": 1 / i, "loss/a": 1.0, "loss/b": 2.0} for i in range(1, 9)]
    points += [{"iteration": 9, "loss": None}, {"iteration": 8, "mean_ap": 0.5}]
    titles = [chart.title for chart in training_charts(points)]
    assert titles == ["Loss", "Parts of the loss (running means)", "Mean AP of validations"]
    recall = training_charts([{"iteration": 8, "recall": 0.5}])
    assert [chart.title for chart in recall] == ["Mean recall of validations"]
    assert training_charts([]) == []
    odd = [{"loss": 1}, {"iteration": "x", "loss": 1}, {"iteration": 1, "loss": "high"},
           {"iteration": 1, "colour": "red"}]
    assert training_charts(odd) == []
