#!/usr/bin/env python3
"""Runs a notebook's cells without Jupyter, and writes what they print and show into it.

    .venv/bin/python docs/run_notebook.py docs/notebooks/detect.ipynb WEIGHTS=... PICTURE=...

NAME=VALUE sets what the cell with the tag "parameters" sets; VALUE is a literal or a text.
"""
import ast
import base64
import contextlib
import io
import json
import os
import sys
from typing import Any


def run(notebook: dict, values: dict[str, Any] | None = None) -> dict:
    """The notebook with fresh outputs; what a cell raises is raised.

    values: variables that are set behind the cell of parameters.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    number = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        number += 1
        cell["execution_count"] = number
        cell["outputs"] = run_cell("".join(cell["source"]), names, number)
        if "parameters" in cell["metadata"].get("tags", ()):
            names.update(values or {})
    return notebook


def run_cell(source: str, names: dict[str, Any], number: int) -> list[dict]:
    """Runs a cell; the outputs are what it printed, and its last line's value."""
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), f"cell {number}", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)
    outputs: list[dict] = []
    if printed.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout",
                        "text": printed.getvalue().splitlines(keepends=True)})
    if value is not None:
        outputs.append({"output_type": "execute_result", "execution_count": number,
                        "metadata": {}, "data": shown(value)})
    return outputs


def shown(value: Any) -> dict[str, str]:
    """How Jupyter shows a value: a picture of PIL as JPEG, else its text."""
    if hasattr(value, "_repr_jpeg_"):
        with io.BytesIO() as file:
            value.save(file, "JPEG", quality=80)
            return {"image/jpeg": base64.b64encode(file.getvalue()).decode(),
                    "text/plain": f"<a picture, {value.width} x {value.height}>"}
    return {"text/plain": repr(value)}


def literal(text: str) -> Any:
    """A literal's value, or the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def main(path: str, *pairs: str) -> None:
    """Runs a notebook in its folder, and writes it."""
    with open(path, encoding="utf-8") as file:
        notebook = json.load(file)
    values = {name: literal(text) for name, _, text in (pair.partition("=") for pair in pairs)}
    os.chdir(os.path.dirname(os.path.abspath(path)))
    run(notebook, values)
    with open(os.path.basename(path), "w", encoding="utf-8") as file:
        json.dump(notebook, file, indent=1, ensure_ascii=False)
        file.write("\n")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
