"""The table at the end of a schedule."""
from faster_rcnn.schedules.summary import duration, steps_table


def test_a_line_per_step_and_the_total_of_those_done_now():
    steps = {"stage1_rpn": {"figures": {"iterations": 40, "images": 12, "loss": 0.5,
                                        "seconds": 3661.4}},
             "stage1_proposals": {"figures": {"images": 6, "proposals": 900, "seconds": 2}},
             "stage1_fast_rcnn": {"figures": {"iterations": 9, "loss": 1.25, "best mean_ap": 0.5,
                                              "seconds": 59.6}}}
    assert steps_table(steps, ["stage1_proposals", "stage1_fast_rcnn"]).splitlines() == [
        "step                  time",
        "stage1_rpn         1:01:01  iterations 40, images 12, loss 0.5 (done before)",
        "stage1_proposals   0:00:02  images 6, proposals 900",
        "stage1_fast_rcnn   0:01:00  iterations 9, loss 1.25, best mean ap 0.5",
        "total              0:01:02"]


def test_duration():
    assert duration(0.4) == "0:00:00" and duration(86399) == "23:59:59"
