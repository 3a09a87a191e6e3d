"""Checkpoints of PyTorch programs as named tensors; no code in them is run."""
import os
import pickle
import re
import zipfile
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from caffe.core.errors import UserError
from faster_rcnn.files.reading import FileError, require_file

# keys under which programs save the tensors, some of them one in another
_WRAPPERS = ("model", "state_dict", "model_state_dict", "net")
_DEEPEST = 4
MAX_BYTES = 64 << 30
FREE_BYTES = 1 << 30    # that a small archive may unpack to
# What stands where a download should be: its first bytes, and what to call it
_PAGES = ((b"version https://git-lfs", "a pointer of Git LFS, not the file itself (git lfs pull "
           "fetches it)"), (b"<!doctype", "a web page, not a checkpoint"),
          (b"<html", "a web page, not a checkpoint"), (b"<?xml", "an XML page, not a checkpoint"))
# what DataParallel and torch.compile put before every name, and what Lightning does
_BEFORE, _BEFORE_ALL = re.compile(r"^((module|_orig_mod)\.)+"), "model."
# what else programs save beside the tensors; it is left out without being made
_LEFT_OUT = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype",
             "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
             "numpy.ndarray", "_codecs.encode", "argparse.Namespace", "pathlib.PosixPath",
             "datetime.datetime")


class CheckpointError(UserError, ValueError):
    """A checkpoint that cannot be read, or is of an unknown net."""


def read_checkpoint(path: str) -> tuple[dict[str, torch.Tensor], dict]:
    """({name: tensor}, {option: value}) of a .safetensors, .pth, .pt or .npz file.

    The options are the words that the program saved beside the tensors, and the values of "config".
    Raises CheckpointError for damaged files and for pickles of more than plain data and tensors.
    """
    try:
        require_file(path, MAX_BYTES)
    except FileError as error:
        raise CheckpointError(str(error)) from None
    _refuse_pages(path)
    _require_stored(path)
    content: Any
    if str(path).endswith(".npz"):
        content = _read_npz(path)
    else:
        content = _read_safetensors(path) if _is_safetensors(path) else _read_pickle(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not named tensors; save "
                              "the net's state_dict()")
    options = {name: value for name, value in content.items()
               if isinstance(value, (str, bool))}
    if isinstance(content.get("config"), dict):
        options.update(content["config"])
    tensors = _named_tensors(_unwrapped(content))
    if not tensors:
        raise CheckpointError(f"{path}: holds no named tensors; save the net's state_dict()")
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested or \
                tensor.is_meta or tensor.is_complex():
            raise CheckpointError(f'{path}: the tensor "{name}" is no plain array of real numbers, '
                                  "but sparse, quantized, nested, complex or without values")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise CheckpointError(f'{path}: the tensor "{name}" has the shape '
                                  f"{tuple(tensor.shape)}, but fewer values")
    return tensors, options


class _LeftOut:
    """What stands for values of _LEFT_OUT: it takes anything, and keeps nothing."""

    def __init__(self, *args: object) -> None:
        """Of any arguments."""

    def __setstate__(self, state: object) -> None:
        """Of any state."""


def _unwrapped(content: dict) -> dict:
    for _ in range(_DEEPEST):
        inner = [content[name] for name in _WRAPPERS if isinstance(content.get(name), dict)]
        if not inner:
            break
        content = inner[0]
    return content


def _named_tensors(content: dict) -> dict[str, torch.Tensor]:
    tensors = {_BEFORE.sub("", str(name)): value for name, value in content.items()
               if isinstance(value, torch.Tensor)}
    shared = _BEFORE_ALL if all(name.startswith(_BEFORE_ALL) for name in tensors) else ""
    return {name.removeprefix(shared): value.detach() for name, value in tensors.items()}


def _refuse_pages(path: str) -> None:
    """CheckpointError for a page or a pointer that was saved under a checkpoint's name."""
    with open(path, "rb") as file:
        begin = file.read(200).lstrip().lower()
    for mark, words in _PAGES:
        if begin.startswith(mark):
            raise CheckpointError(f"{path}: is {words}")


def _is_safetensors(path: str) -> bool:
    """A .safetensors file starts with the length of its header, then the header, in braces."""
    with open(path, "rb") as file:
        return file.read(9)[8:] == b"{"


def _read_safetensors(path: str) -> dict[str, torch.Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: not readable as safetensors: {_first_line(error)}"
                              ) from None


def _read_npz(path: str) -> dict[str, torch.Tensor]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files
                    if arrays[name].dtype.kind == "f"}
    except Exception as error:      # damaged bytes make numpy raise almost anything
        raise CheckpointError(f"{path}: not readable as arrays of numpy: {_first_line(error)}"
                              ) from None


def _read_pickle(path: str) -> object:
    left_out: list[Any] = [(_LeftOut, name) for name in _LEFT_OUT]
    try:
        with torch.serialization.safe_globals(left_out):
            return torch.load(path, map_location="cpu", weights_only=True,
                              mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        # PyTorch's own words advise to load the file without this protection
        called = re.search(r"GLOBAL ([\w.]+)|[Uu]nsupported class ([\w.]+)", str(error))
        reason = f"it names {called[1] or called[2]}" if called else "its pickle cannot be read"
        raise CheckpointError(f"{path}: not a checkpoint of tensors alone, and nothing else is "
                              f"read: {reason}; save the net's state_dict()") from None
    except Exception as error:      # damaged bytes make PyTorch raise almost anything
        raise CheckpointError(f"{path}: not readable as a PyTorch checkpoint: {_first_line(error)}"
                              ) from None


def _require_stored(path: str) -> None:
    """CheckpointError for a zip archive that unpacks to much more than its size."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except Exception:   # no archive, or a damaged one, which PyTorch refuses
        return
    if size > max(2 * os.path.getsize(path), FREE_BYTES):
        raise CheckpointError(f"{path}: unpacks to {size} bytes; PyTorch does not compress its "
                              "checkpoints")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
