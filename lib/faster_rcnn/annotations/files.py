"""What the readers of all formats share: an annotation file's text, JSON or XML, and its errors."""
import contextlib
import functools
import io
import json
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from caffe.core.errors import UserError
from faster_rcnn.files.reading import (
    EncodingError,
    FileError,
    MissingFileError,
    read_bytes,
    read_text,
    require_file,
)

T = TypeVar("T")
# Memory grows with the number of objects in an image, whatever the form of its annotation
MAX_OBJECTS, MAX_DEPTH = 10_000, 100


class AnnotationError(UserError, ValueError):
    """An annotation that cannot be used; the message starts with the file's path."""


class OtherFormError(AnnotationError):
    """A file that can be read, but is of another form than was asked for."""


def unreadable(path: str, error: FileError) -> AnnotationError:
    """The AnnotationError of an annotation file that cannot be read."""
    if isinstance(error, MissingFileError) and not os.path.islink(path):
        return AnnotationError(f"{path}: the annotation file is not there")
    return AnnotationError(f"{path}: {str(error).removeprefix(path).strip()}")


def remembered(max_bytes: int, count: int) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """A decorator of a reader: the last `count` files are read again only after a change, since
    schedules ask repeatedly. AnnotationError for a file that is missing or larger than max_bytes.
    """
    def decorate(read: Callable[[str], T]) -> Callable[[str], T]:
        @functools.lru_cache(maxsize=count)
        def of_age(path: str, size: int, mtime: int) -> T:
            return read(path)

        @functools.wraps(read)
        def current(path: str) -> T:
            try:
                require_file(path, max_bytes)
            except FileError as error:
                raise unreadable(path, error) from None
            facts = os.stat(path)
            return of_age(path, facts.st_size, facts.st_mtime_ns)
        return current
    return decorate


def annotation_text(path: str, max_bytes: int) -> str:
    """The text of a file; AnnotationError where it cannot be read."""
    try:
        return read_text(path, max_bytes)
    except EncodingError as error:
        raise AnnotationError(str(error)) from None
    except FileError as error:
        raise unreadable(path, error) from None


def json_content(path: str, max_bytes: int,
                 object_hook: Callable[[dict], Any] | None = None) -> Any:
    """The content of a JSON file; object_hook: see json.loads. AnnotationError where there is none.
    """
    text = annotation_text(path, max_bytes)
    try:
        return json.loads(text, object_hook=object_hook)
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path}:{error.lineno}:{error.colno}: not well-formed JSON "
                              f"({error.msg})") from None
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: JSON that is not accepted ({error})") from None


def annotation_bytes(path: str, max_bytes: int) -> bytes:
    """The content of a file; AnnotationError where it cannot be read."""
    try:
        return read_bytes(path, max_bytes)
    except FileError as error:
        raise unreadable(path, error) from None


@contextlib.contextmanager
def xml_errors(path: str) -> Iterator[None]:
    """Makes AnnotationErrors of what is wrong with XML that is read inside."""
    try:
        yield
    except ParseError as error:
        raise AnnotationError(f"{path}: not well-formed XML ({error})") from None
    except AnnotationError:
        raise
    except (DefusedXmlException, ValueError, LookupError) as error:
        raise AnnotationError(f"{path}: XML that is not accepted ({error!r})") from None


def plain_tag(node: Element) -> str:
    """The name of an element as it is written."""
    return node.tag


def xml_elements(path: str, content: bytes, tag_of: Callable[[Element], str] = plain_tag
                 ) -> Iterator[tuple[Element, list[str]]]:
    """Yields every element once it is complete, with the tags around it; the root comes last.

    Children of the root are dropped after their turn. tag_of: the name of an element.
    AnnotationError where elements are nested more than MAX_DEPTH deep.
    """
    root: Element | None = None
    opened: list[str] = []
    for event, node in ElementTree.iterparse(io.BytesIO(content), events=("start", "end")):
        if event == "start":
            root = node if root is None else root
            opened.append(tag_of(node))
            if len(opened) > MAX_DEPTH:
                raise AnnotationError(f"{path}: elements are nested more than {MAX_DEPTH} deep")
            continue
        opened.pop()
        yield node, opened
        if len(opened) == 1 and root is not None:
            root.clear()
