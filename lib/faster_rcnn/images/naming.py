"""Messages of errors say which image they are about."""
import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def naming_image(path: str) -> Iterator[None]:
    """An exception of the block has the image's path in its message; it stays what it is."""
    try:
        yield
    except OSError:
        raise                       # these name their file
    except Exception as error:
        if path not in str(error):
            message, *others = error.args or ("",)
            error.args = (f"{path}: {message or type(error).__name__}", *others)
        raise
