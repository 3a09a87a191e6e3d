"""The notebooks run from top to bottom, and what they show is in them."""
import ast
import json
import runpy

import pytest
from sources import ROOT

FOLDER = ROOT / "docs" / "notebooks"
NOTEBOOKS = {path.stem: path for path in sorted(FOLDER.glob("*.ipynb"))}
run = runpy.run_path(str(ROOT / "docs" / "run_notebook.py"))["run"]


def opened(name):
    return json.loads(NOTEBOOKS[name].read_text(encoding="utf-8"))


def printed(notebook):
    return "".join(line for cell in notebook["cells"] for output in cell.get("outputs", ())
                   for line in output.get("text", ()))


def pictures(notebook):
    return sum("image/jpeg" in output.get("data", ()) for cell in notebook["cells"]
               for output in cell.get("outputs", ()))


@pytest.fixture
def values(workplace, monkeypatch):
    """{notebook: what its cell of parameters sets}, so that it takes seconds."""
    monkeypatch.chdir(workplace.folder)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'lib'}:{ROOT / 'caffe-fast-rcnn' / 'python'}")
    weights = str(workplace.weights)
    more = ["--log", "n.txt", "--cpu", *workplace.here.split()]
    return {"detect": {"WEIGHTS": weights, "PICTURES": "data/shapes/JPEGImages"},
            "inside": {"WEIGHTS": weights, "PICTURE": str(workplace.picture)},
            "train": {"PICTURES": "my/pictures", "ITERS": 20, "RESULTS": "output", "MORE": more}}


def test_there_are_three():
    assert list(NOTEBOOKS) == ["detect", "inside", "train"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs(name, values):
    written, made = opened(name), run(opened(name), values[name])
    assert printed(made) and pictures(made) == pictures(written) >= 2


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_its_outputs_are_written_in_it(name):
    notebook = opened(name)
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    [parameters] = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
    assert parameters is cells[0]
    for cell in cells:
        body = ast.parse("".join(cell["source"])).body
        shows = isinstance(body[-1], ast.Expr) and "print" not in ast.dump(body[-1])
        assert not shows or cell["outputs"] or "faster_rcnn(" in "".join(cell["source"])
    assert str(ROOT) not in json.dumps(notebook)


def test_what_a_cell_raises_is_raised():
    cell = {"cell_type": "code", "metadata": {}, "source": ["1 / 0"]}
    with pytest.raises(ZeroDivisionError):
        run({"cells": [cell]})
