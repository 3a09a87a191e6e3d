"""Writes requirements.lock: each package's version, and the hashes of all its files.

PyTorch is left out, and the CUDA packages that belong to its builds (.ci/torch.txt says why).
"""
import re
import subprocess
import sys
from pathlib import Path

LOCK = "requirements.lock"
EXTRAS = [word for extra in ("all", "test", "build") for word in ("--extra", extra)]
COMPILE = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--universal",
           "--python-version", "3.10", "--no-annotate", "--no-header", *EXTRAS,
           "--constraint", ".ci/torch.txt", "pyproject.toml"]
HEADER = """\
# The versions that everything is tested with, and the hashes of their files: what `make` installs.
# Made by `make lock` from pyproject.toml. PyTorch's version is in .ci/torch.txt.
"""


def main() -> None:
    before = Path(LOCK).read_text(encoding="utf-8")
    versions = compile_lock()
    cuda = re.findall(r"^((?:nvidia|cuda|triton)\b[a-z0-9-]*)==", versions, re.M)
    Path(LOCK).write_text(before, encoding="utf-8")
    compile_lock("--generate-hashes", *(word for name in ["torch", *cuda]
                                        for word in ("--no-emit-package", name)))
    text = Path(LOCK).read_text(encoding="utf-8")
    packages, _, _ = text.partition("\n# The following packages were excluded")
    Path(LOCK).write_text(HEADER + packages.rstrip() + "\n", encoding="utf-8")


def compile_lock(*options: str) -> str:
    """Writes LOCK, whose own versions are kept where possible; returns its text."""
    subprocess.run([*COMPILE, *options, "--output-file", LOCK], check=True)
    return Path(LOCK).read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
