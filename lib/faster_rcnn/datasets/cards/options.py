"""The options of a YAML mapping, each checked as it is taken."""
from collections.abc import Sequence
from reprlib import repr as shown

from caffe.core.errors import suggest
from faster_rcnn.datasets.cards.card import CardError
from faster_rcnn.files import safe_yaml

# Characters of a message, which may quote anything
MAX_MESSAGE = 1000


class Options:
    """The options of a card file; a wrong one is a CardError with file and line."""

    def __init__(self, path: str, text: str, keys: Sequence[str]) -> None:
        self.path = path
        self.options: dict = safe_yaml.load(text, path)
        if not isinstance(self.options, dict):
            raise CardError(f"{path}: a data set card is a mapping with the keys "
                            f"{', '.join(keys)}")
        self.lines = safe_yaml.key_lines(text, path)
        for key in self.options:
            if key not in keys:
                raise self.error(key, f'"{key}" is no key of a data set card'
                                 f"{suggest(key, keys)}; there are: {', '.join(keys)}")

    def error(self, key: str, message: str) -> CardError:
        """A CardError about a key."""
        line = self.lines.get(str(key))
        words = message if len(message) <= MAX_MESSAGE else message[:MAX_MESSAGE] + "..."
        return CardError(f"{self.path}{f':{line}' if line else ''}: {words}")

    def text(self, key: str, default: str | None) -> str:
        """A text; without a default there must be one."""
        value = self.options.get(key, default)
        if value is None:
            raise self.error(key, f'the card has no "{key}"')
        if not isinstance(value, str):
            raise self.error(key, f"{key} must be a text; received {shown(value)}")
        return value

    def choice(self, key: str, allowed: Sequence[str], default: str | None) -> str:
        """One of the allowed texts."""
        value = self.text(key, default)
        if value not in allowed:
            raise self.error(key, f'{key} "{value}" is unknown{suggest(value, allowed)}; '
                             f"there are: {', '.join(allowed)}")
        return value

    def texts(self, key: str, default: Sequence[str] | None = None) -> tuple[str, ...]:
        """A text or a list of texts, as a tuple with at least one element."""
        value = self.options.get(key, default)
        if value is None:
            raise self.error(key, f'the card has no "{key}"')
        values = (value,) if isinstance(value, str) else value
        if not isinstance(values, (list, tuple)) or not values:
            raise self.error(key, f"{key} must be a list of texts; received {shown(value)}")
        for element in values:
            if not isinstance(element, str) or not element.strip():
                raise self.error(key, f"{key} must be a list of texts; received {shown(element)} "
                                 "(quote words that YAML takes for something else: \"no\", \"1\")")
        return tuple(element.strip() for element in values)

    def mapping(self, key: str, words: str) -> dict:
        """A mapping; words: what it maps."""
        value = self.options.get(key, {})
        if not isinstance(value, dict):
            raise self.error(key, f"{key} must map {words}; received {shown(value)}")
        return value
