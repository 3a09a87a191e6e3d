"""What is wrong or unusual in files: how it is kept, said once, and counted."""
import contextlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

log = logging.getLogger(__name__)

# {what: [(path, subject), ...]}
Notes = dict[str, list[tuple[str, str]]]
# Places that the line of a note names before it says "..."
SHOWN_PLACES = 5

_reported: set = set()


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file or one of its objects, and what was done about it."""

    path: str
    subject: str    # 'object 3 (dog)', or empty for the file
    rule: str
    action: str

    def __str__(self) -> str:
        return f"{self.path}: {self.subject}{' ' if self.subject else ''}{self.rule}; {self.action}"


def report(problems: Iterable[Problem], data_set: str, notes: Notes | None = None) -> None:
    """Logs a line per problem that was not logged before in this process, a summary, and a line
    per kind of note ({what: [(path, subject)]}).
    """
    fresh = [problem for problem in dict.fromkeys(problems) if problem not in _reported]
    _reported.update(fresh)
    for problem in fresh:
        log.warning("%s", problem)
    if fresh:
        log.warning("%s: %d problems in %d files, see above", data_set, len(fresh),
                    len({problem.path for problem in fresh}))
    for what, places in (notes or {}).items():
        line = (f"{data_set}: {counted(what, places[:SHOWN_PLACES], len(places))}"
                f"{', ...' if len(places) > SHOWN_PLACES else ''}")
        if line not in _reported:
            _reported.add(line)
            log.info("%s", line)


@contextlib.contextmanager
def unreported() -> Iterator[None]:
    """Nothing is logged by `report` inside, nor counts as logged afterwards."""
    known, was_disabled = set(_reported), log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = was_disabled
        _reported.intersection_update(known)


def counted(what: str, places: Iterable[tuple[str, str]], count: int) -> str:
    """A note as words: how many, what, and places [(path, subject)]."""
    shown = ", ".join(f"{path}: {subject}" if subject else path for path, subject in places)
    return f"{count} {what}: {shown}"
