"""What is shown at the end of a schedule: a line per step, with its time and figures."""
import datetime
from collections.abc import Collection, Mapping
from typing import Any

# Figures of a step that a line of the table has, by what it does
_SHOWN = ("iterations", "images", "proposals", "loss", "best recall", "best mean_ap")


def steps_table(steps: Mapping[str, Mapping[str, Any]], done_now: Collection[str]) -> str:
    """A table of finished steps: {name: {"figures": {...}}}, as the record has them.

    done_now: the names of those that this run has done; the times of all others do not count in the
    total.
    """
    rows = [("step", "time", "")]
    for name, step in steps.items():
        figures = step["figures"]
        shown = ", ".join(f"{key.replace('_', ' ')} {figures[key]}" for key in _SHOWN
                          if key in figures)
        again = "" if name in done_now else " (done before)"
        rows.append((name, duration(figures.get("seconds", 0)), shown + again))
    total = sum(step["figures"].get("seconds", 0) for name, step in steps.items()
                if name in done_now)
    rows.append(("total", duration(total), ""))
    width = max(len(row[0]) for row in rows)
    return "\n".join(f"{name:{width}}  {time:>8}  {text}".rstrip() for name, time, text in rows)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03."""
    return str(datetime.timedelta(seconds=round(seconds)))
