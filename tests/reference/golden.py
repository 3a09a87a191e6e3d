"""Reads the numbers recorded from the original programs (tests/golden; see its README).

A family of cases is a zip, a case an .npz in it. Both are named by their place below tests/golden,
without a suffix: the family "caffe/layers", its case "caffe/layers/conv__k3".
"""
import io
import json
import os
import pathlib
import zipfile
from typing import Any

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1] / "golden"


def families(program: str) -> list[str]:
    """The families of a program ("caffe", "pfr"), sorted."""
    return [f"{program}/{path.stem}" for path in sorted((ROOT / program).glob("*.zip"))]


def cases(family: str) -> list[str]:
    """The cases of a family, sorted. Raises FileNotFoundError if there is no such family."""
    with zipfile.ZipFile(ROOT / f"{family}.zip") as file:
        return sorted(f"{family}/{name.removesuffix('.npz')}" for name in file.namelist())


def short_name(case: str) -> str:
    """How pytest names a case: its family and its name, "layers-conv__k3"."""
    return "-".join(case.split("/")[-2:])


def read_arrays(case: str) -> dict[str, np.ndarray]:
    """The arrays of a case by name. Raises KeyError if the family has no such case."""
    family, name = case.rsplit("/", 1)
    with zipfile.ZipFile(ROOT / f"{family}.zip") as file:
        content = io.BytesIO(file.read(f"{name}.npz"))
    with np.load(content, allow_pickle=False) as arrays:
        return dict(arrays)


def read_case(case: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The description of a case (its array `meta`, a JSON text), and all other arrays by name."""
    arrays = read_arrays(case)
    return json.loads(str(arrays.pop("meta"))), arrays


def unpack(family: str, folder: str | os.PathLike[str]) -> None:
    """Writes the files of a family into a folder."""
    with zipfile.ZipFile(ROOT / f"{family}.zip") as file:
        file.extractall(folder)
