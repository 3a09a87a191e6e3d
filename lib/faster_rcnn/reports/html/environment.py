"""Templates of pages, with escaping of every value that they show."""
import math

import jinja2

STYLES = "faster_rcnn.reports.html"      # has the style that all pages share


def environment(package: str = STYLES) -> jinja2.Environment:
    """The templates of a package, in its folder templates/, and those of this one."""
    loaders = [jinja2.PackageLoader(name) for name in dict.fromkeys((package, STYLES))]
    loaded = jinja2.Environment(loader=jinja2.ChoiceLoader(loaders), autoescape=True,
                                undefined=jinja2.StrictUndefined, trim_blocks=True,
                                lstrip_blocks=True)
    loaded.filters["number"] = number
    loaded.filters["duration"] = duration
    return loaded


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many digits behind the point; a dash for none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """"42 s", "3 min 20 s" or "5 h 12 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.3g} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
