"""A description in a few lines, for people."""
from typing import Any

from faster_rcnn.detectors.description import Description, anchors_of


def summary(description: Description) -> str:
    """What a detector is, where it comes from and how good it is."""
    d, test = description, description.settings["TEST"]
    anchors = anchors_of(d.net_message(), d.weights.name)
    rows: list[tuple[str, Any]] = [
        ("weights", f"{d.weights.name}, {d.weights.bytes} bytes, SHA-256 {d.weights.sha256}"),
        ("method", d.method), ("net", d.net_message().name),
        ("classes", f"{len(d.classes)}: {', '.join(d.classes)}"),
        ("pictures", f"shorter side {', '.join(map(str, test['SCALES']))} pixels, longer one at "
                     f"most {test['MAX_SIZE']}"),
        ("anchors", anchors and f"scales {_listed(anchors['scales'])}, ratios "
                                f"{_listed(anchors['ratios'])}, of {anchors['base_size']} pixels"),
        ("threshold", d.threshold), ("trained on", d.data.get("train")),
        ("schedule", d.training.get("schedule"))]
    if d.test:
        rows.append(("last test", f"mean AP {d.test.get('mean_ap')} on {d.test.get('images')} "
                                  f"images of {d.test.get('imdb')}"))
    return "\n".join(f"{name + ':':12}{value}" for name, value in rows if value is not None)


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
