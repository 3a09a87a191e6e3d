"""Names of classes and other texts as names of files."""

# What file systems refuse or take for something else, and the mark of a replaced character
_UNSAFE = frozenset('/\\:*?"<>|%')


def file_name(text: str) -> str:
    """A text as a part of a file's name: unsafe characters as %2F and so on, so that different
    texts stay different.
    """
    return "".join(f"%{ord(character):02X}" if character in _UNSAFE or not character.isprintable()
                   else character for character in text)
