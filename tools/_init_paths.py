"""Puts the engine and the detector on sys.path, so that the tools run from a plain checkout.

Started by a Python without the packages they need, a tool starts again with that of .venv, which
`make` sets up.
"""
import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"

if importlib.util.find_spec("torch") is None:
    if not PYTHON.exists() or Path(sys.prefix) == ROOT / ".venv":
        print(f"{os.path.basename(sys.argv[0])}: error: there is no PyTorch in {sys.executable}, "
              f"nor in {PYTHON}; run `make` in {ROOT} first", file=sys.stderr)
        sys.exit(2)
    os.execv(PYTHON, [str(PYTHON), *sys.argv])

for folder in (str(ROOT / "lib"), str(ROOT / "caffe-fast-rcnn" / "python")):
    if folder not in sys.path:
        sys.path.insert(0, folder)
