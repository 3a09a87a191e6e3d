"""A Python file of an old fork, rewritten for today's Python."""
import ast

from faster_rcnn.forks.calls import call_edits, pickle_file_edits, remarks
from faster_rcnn.forks.edits import ModernizeError, Places, applied
from faster_rcnn.forks.syntax import syntax_edits


def modernized(source: str, name: str) -> tuple[str, list[str]]:
    """A file's text after all edits, and remarks "NAME:LINE: ..." on what is left to do."""
    source = applied(source, list(syntax_edits(source, name)))
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise ModernizeError(f"{name}:{line or 1}: {getattr(error, 'msg', error)}; mend this line "
                             "by hand first") from None
    places = Places(source)
    edits = [edit for node in ast.walk(tree) for edit in call_edits(node, places)]
    edits += pickle_file_edits(tree, places)
    return applied(source, edits), [f"{name}:{line}: {text}" for line, text in remarks(tree)]
