"""Atomic writers, which are the engine's (caffe.files.atomic), and hashes of files and values."""
import hashlib
import json
import os

from caffe.files.atomic import atomic_open, copy_file, write_json, write_text

__all__ = ["atomic_open", "copy_file", "file_hash", "json_hash", "write_json", "write_text"]


def file_hash(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 22), b""):
            digest.update(block)
    return digest.hexdigest()


def json_hash(value: object) -> str:
    """SHA-256 of a value that JSON can hold; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
