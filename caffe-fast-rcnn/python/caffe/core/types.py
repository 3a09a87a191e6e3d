"""Names for types that the whole engine uses."""
import os

FilePath = str | os.PathLike[str]
Shape = tuple[int, ...]
