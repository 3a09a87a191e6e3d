"""Names of classes and other texts as names of files."""
import hashlib

# What file systems refuse or take for something else, and the mark of a replaced character
_UNSAFE = frozenset('/\\:*?"<>|%')
# Names of files have 255 bytes at most, and programs put words before and behind these
MAX_BYTES = 120


def is_text(name: str) -> bool:
    """Whether the name of a file is text in UTF-8."""
    return name.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in name)


def file_name(text: str) -> str:
    """A text as a part of a file's name: unsafe characters as %2F and so on, so that different
    texts stay different; of a long one the beginning and a hash.
    """
    name = "".join(f"%{ord(character):02X}" if character in _UNSAFE or not character.isprintable()
                   else character for character in text)
    return shortened(name, MAX_BYTES)


def shortened(name: str, max_bytes: int) -> str:
    """A name; of one with more bytes the beginning and a hash of it all."""
    content = name.encode("utf-8", "surrogateescape")
    if len(content) <= max_bytes:
        return name
    mark = hashlib.sha256(content).hexdigest()[:8]
    return f"{content[:max_bytes - len(mark) - 1].decode('utf-8', 'ignore')}~{mark}"
