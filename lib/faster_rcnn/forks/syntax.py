"""Python 2's own statements: print, except and raise with a comma, <>."""
import io
import tokenize
from collections.abc import Iterator

from faster_rcnn.forks.edits import Edit, ModernizeError, line_starts


def syntax_edits(source: str, name: str) -> Iterator[Edit]:
    """What must change before Python 3 can parse a file at all."""
    starts = line_starts(source)
    for line in statements(source, name):
        begins = [starts[token.start[0] - 1] + token.start[1] for token in line]
        ends = [starts[token.end[0] - 1] + token.end[1] for token in line]
        first = keyword_index(line)
        word = line[first].string
        if word == "print":
            yield from print_edits(source, line[first:], begins[first:], ends[first:])
        elif word in ("except", "raise"):
            comma = top_level_comma(line, first + 1)
            if comma and word == "except":
                yield Edit(begins[comma], ends[comma] + 1, " as ")
            elif comma:
                yield Edit(begins[comma], begins[comma + 1], "(")
                yield Edit(ends[-1], ends[-1], ")")
        for index, token in enumerate(line):
            if token.string == "<>":        # one token in Python 3.12 and 3.13, two in all others
                yield Edit(begins[index], ends[index], "!=")
            elif [part.string for part in line[index:index + 2]] == ["<", ">"]:
                yield Edit(begins[index], ends[index + 1], "!=")


def statements(source: str, name: str) -> Iterator[list[tokenize.TokenInfo]]:
    """The tokens of each logical line, without comments and line ends."""
    line: list[tokenize.TokenInfo] = []
    layout = (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT)
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.NEWLINE or token.string == ";":
                if line:
                    yield line
                line = []
            elif token.type not in layout and token.type != tokenize.ENDMARKER:
                line.append(token)
    except SyntaxError as error:
        raise ModernizeError(f"{name}:{error.lineno}: {error.msg}") from None
    except tokenize.TokenError as error:
        message, (row, _) = error.args
        raise ModernizeError(f"{name}:{row}: {message}") from None


def keyword_index(line: list[tokenize.TokenInfo]) -> int:
    """Where the statement begins: behind the colon in "if x: print y"."""
    depth = 0
    for index, token in enumerate(line[:-1]):
        depth += (token.string in "([{") - (token.string in ")]}") if token.string else 0
        if token.string == ":" and not depth and line[0].string in (
                "if", "else", "elif", "for", "while", "try", "except", "finally", "with"):
            return index + 1
    return 0


def print_edits(source: str, line: list[tokenize.TokenInfo], begins: list[int],
                ends: list[int]) -> Iterator[Edit]:
    """print a, b -> print(a, b); print >>f, a -> print(a, file=f); a last comma -> end=" "."""
    rest = [token.string for token in line[1:]]
    if rest and (rest[0] in ("=", ".", ",") or closes_at_end(rest)):
        return
    if not rest:
        yield Edit(ends[0], ends[0], "()")
        return
    last, more = len(rest), ""
    if rest[-1] == ",":
        last, more = last - 1, ', end=" "'
    first = 1
    if rest[0] == ">>":
        first = top_level_comma(line, 1) or last + 1
        more = f", file={source[begins[2]:ends[first - 1]]}" + more
        first = min(first + 1, last + 1)
    arguments = source[begins[first]:ends[last]] if first <= last else ""
    yield Edit(ends[0], ends[-1], f"({arguments}{more})" if arguments else
               f"({more.removeprefix(', ')})")


def closes_at_end(words: list[str]) -> bool:
    """Whether a line is one pair of parentheses, which print takes as a function's."""
    depth = 0
    for index, word in enumerate(words):
        depth += (word in ("(", "[", "{")) - (word in (")", "]", "}"))
        if not depth:
            return words[0] == "(" and index == len(words) - 1
    return False


def top_level_comma(line: list[tokenize.TokenInfo], begin: int) -> int:
    """The index of the first comma outside parentheses, from `begin` on; 0 for none."""
    depth = 0
    for index, token in enumerate(line[begin:], begin):
        depth += (token.string in ("(", "[", "{")) - (token.string in (")", "]", "}"))
        if token.string == "," and not depth:
            return index
    return 0
