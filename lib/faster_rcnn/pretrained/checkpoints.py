"""Checkpoints of PyTorch programs as named tensors; no code in them is run."""
import pickle
import struct
import zipfile

import safetensors
import safetensors.torch
import torch

from caffe.core.errors import UserError

_WRAPPERS = ("model", "state_dict")     # keys under which programs save the tensors
_PARALLEL = "module."                   # what DataParallel puts before every name


class CheckpointError(UserError, ValueError):
    """A checkpoint that cannot be read, or is of an unknown net."""


def read_checkpoint(path: str) -> tuple[dict[str, torch.Tensor], dict]:
    """({name: tensor}, {option: value}) of a .safetensors, .pth or .pt file.

    The options are the plain values that the program saved with the tensors as "config". Raises
    CheckpointError for damaged files and for pickles of more than plain data and tensors.
    """
    content = _read_safetensors(path) if _is_safetensors(path) else _read_pickle(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not named tensors; save "
                              "the net's state_dict()")
    options = content.get("config")
    for wrapper in _WRAPPERS:
        if isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    tensors = {str(name).removeprefix(_PARALLEL): value.detach() for name, value in content.items()
               if isinstance(value, torch.Tensor)}
    if not tensors:
        raise CheckpointError(f"{path}: holds no named tensors")
    return tensors, options if isinstance(options, dict) else {}


def _is_safetensors(path: str) -> bool:
    """A .safetensors file starts with the length of its header, then the header, in braces."""
    with open(path, "rb") as file:
        return file.read(9)[8:] == b"{"


def _read_safetensors(path: str) -> dict[str, torch.Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: not readable as safetensors: {error}") from None


def _read_pickle(path: str) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True,
                          mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path}: not a checkpoint of tensors alone, and nothing else is "
                              f"read: {reason}") from None
    except (RuntimeError, ValueError, KeyError, EOFError, AttributeError, TypeError, IndexError,
            UnicodeDecodeError, AssertionError, OverflowError, MemoryError,
            struct.error, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path}: not readable as a PyTorch checkpoint: {reason}") from None
