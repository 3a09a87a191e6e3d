"""Where cards are: shipped ones in data/cards by name, others by path."""
import glob
import os

from caffe.core.errors import suggest
from faster_rcnn.datasets.cards.card import Card, CardError
from faster_rcnn.datasets.cards.reader import read_card
from faster_rcnn.files import places, safe_yaml
from faster_rcnn.files.reading import EncodingError, FileError, read_text
from faster_rcnn.settings.config import cfg

FOLDER = places.shipped("cards")


def list_cards() -> list[str]:
    """Names of the cards in data/cards."""
    return sorted(os.path.splitext(os.path.basename(path))[0]
                  for path in glob.glob(os.path.join(FOLDER, "*.yml")))


def is_card_path(text: str) -> bool:
    """Whether this is the path of a card: it ends in .yml or .yaml."""
    return text.endswith((".yml", ".yaml"))


def is_card(name_or_path: str) -> bool:
    """Whether this is a name in data/cards, or a path that ends in .yml or .yaml."""
    return is_card_path(name_or_path) or name_or_path in list_cards()


def load_card(name_or_path: str) -> Card:
    """The card of a name in data/cards, or of a path that ends in .yml or .yaml.

    Raises CardError, naming file, line and key.
    """
    is_path = is_card_path(name_or_path)
    path = name_or_path if is_path else os.path.join(FOLDER, name_or_path + ".yml")
    if not is_path and not os.path.exists(path):
        raise CardError(f'there is neither a folder nor a data set card "{name_or_path}"'
                        f"{suggest(name_or_path, list_cards())}; cards that are there: "
                        f"{', '.join(list_cards())}")
    is_shipped = os.path.dirname(os.path.abspath(path)) == FOLDER
    try:
        return read_card(path, read_text(path, safe_yaml.MAX_CHARACTERS), is_shipped, cfg.ROOT_DIR)
    except FileNotFoundError as error:
        link = f" ({error})" if os.path.islink(path) else ""
        raise CardError(f"{path}: this data set card does not exist{link}") from None
    except (FileError, EncodingError, safe_yaml.YamlError) as error:
        raise CardError(str(error)) from None
