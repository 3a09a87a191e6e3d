"""Writes report.html: everything about a test in one file, without a network."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faster_rcnn.evaluation.judged_images import MATCH_OVERLAP, SHOW_SCORE, judged_images
from faster_rcnn.files.atomic import write_text
from faster_rcnn.reports.html.charts import training_charts
from faster_rcnn.reports.html.choices import choices
from faster_rcnn.reports.html.environment import environment
from faster_rcnn.reports.html.facts import RunFacts, Step
from faster_rcnn.reports.html.galleries import MOST_BYTES, pictures
from faster_rcnn.reports.html.numbers import Numbers, confusions, numbers


def write_html_report(imdb: Any, all_boxes: Sequence[Sequence[np.ndarray]], metrics: dict,
                      names: Sequence[str], path: str | Path,
                      facts: RunFacts | None = None) -> str:
    """Writes the page of one test to `path`, and returns it; imdb, all_boxes, metrics as in
    test_report.write_report; names: of all images; facts: what ran.
    """
    facts = facts or RunFacts()
    images = judged_images(all_boxes, imdb.annotated_boxes())
    found = numbers(images, imdb.classes, metrics, SHOW_SCORE)
    chosen = choices(imdb, images, names, SHOW_SCORE)
    num_views = max(1, sum(len(choice.views) for choice in chosen))
    galleries = [(choice, pictures(imdb, choice.views, MOST_BYTES * len(choice.views) // num_views))
                 for choice in chosen]
    text = environment().get_template("report.html").render(
        imdb_name=imdb.name, classes=list(imdb.classes), metrics=metrics, facts=facts,
        num_images=len(images), numbers=found, galleries=galleries, show_score=SHOW_SCORE,
        overlap=metrics.get("overlap", MATCH_OVERLAP), steps=_steps(facts.steps),
        confused=confusions(found.confusion, imdb.classes), slider=_slider(found))
    write_text(str(path), text)
    return str(path)


def _steps(steps: Sequence[Step]) -> list[dict]:
    """The rows of the training's table; share: of the longest step, for a bar."""
    longest = max((step.seconds or 0 for step in steps), default=0)
    return [{"name": step.name, "seconds": step.seconds, "figures": dict(step.figures),
             "share": (step.seconds or 0) / longest if longest else 0,
             "charts": training_charts(step.points)} for step in steps]


def _slider(found: Numbers) -> dict[str, Any]:
    """Right and false detections of the whole data set at the slider's steps, and its objects."""
    return {"right": [at.right for at in found.slider], "false": [at.false for at in found.slider],
            "objects": found.slider[0].objects, "top": found.slider[-1].score}
