#!/usr/bin/env python
"""Compiles the CUDA half of the operators where there is no GPU and no CUDA build of PyTorch.

    make cuda-compile           or      ./tools/cuda_compile.py [--arch sm_80,sm_90] [--optional]

Every .cu file by nvcc, for each architecture; both bindings_*_cuda.cpp by the C++ compiler against
PyTorch's headers and those of nvcc's CUDA. nvcc is $NVCC, else the one in PATH, else the one that
`make cuda-toolkit` has put into build/cuda-toolkit. What has not changed since it was last compiled
is not compiled again. Exit status: 0 all is compiled, 1 something does not compile, 2 there is no
nvcc (0 with --optional, which says so).
"""
import argparse
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import _init_paths

BUILD = os.path.join(_init_paths.ROOT, "build")
# PyTorch's CPU wheels lack this file, and nothing of it is needed to compile
GENERATED_HEADER = os.path.join("c10", "cuda", "impl", "cuda_cmake_macros.h")


@dataclass
class Task:
    """One file to compile: the command line without the target, and what `about` it is shown."""

    source: str
    command: list[str]
    about: str
    headers: list[str]
    tool: str           # the compiler's version

    @property
    def target(self) -> str:
        """Where the object goes; the name changes with everything it depends on."""
        digest = hashlib.sha256("\n".join([self.tool, *self.command]).encode())
        for path in [self.source, *self.headers]:
            with open(path, "rb") as file:
                digest.update(file.read())
        name = f"{os.path.basename(self.source)}-{digest.hexdigest()[:16]}.o"
        return os.path.join(BUILD, "cuda", name)

    def run(self) -> tuple[str, float]:
        """What the compiler complains about ("": nothing), and the seconds that it took."""
        target = self.target
        start = time.monotonic()
        partial = f"{target}.{os.getpid()}"
        done = subprocess.run([*self.command, "-c", self.source, "-o", partial],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return done.stderr or done.stdout or f"exit status {done.returncode}", 0.0
        os.replace(partial, target)
        return "", time.monotonic() - start


def find_nvcc() -> str | None:
    """The path of $NVCC, of the nvcc in PATH, or of the one of `make cuda-toolkit`."""
    given = os.environ.get("NVCC")
    toolkit = glob.glob(os.path.join(BUILD, "cuda-toolkit", "nvidia", "*", "bin", "nvcc"))
    candidates = [shutil.which(given)] if given else [shutil.which("nvcc"), *toolkit]
    return next((path for path in candidates if path), None)


def version_of(tool: str) -> str:
    """The line of `tool --version` that says which version it is."""
    lines = subprocess.run([tool, "--version"], capture_output=True, text=True,
                           check=True).stdout.splitlines()
    return next((line for line in lines if line.startswith("Cuda compilation")), lines[0])


def tasks(nvcc: str, architectures: list[str]) -> Iterator[Task]:
    """Everything that has a CUDA half."""
    from caffe.operators import build
    headers = sorted(glob.glob(os.path.join(build.SOURCES, "*.*h")))
    targets = [f"-gencode=arch={name.replace('sm_', 'compute_')},code={name}"
               for name in architectures]
    for source in sorted(glob.glob(os.path.join(build.SOURCES, "*.cu"))):
        yield Task(source, [nvcc, *build.CUDA_FLAGS, "-Werror", "all-warnings", *targets],
                   f"nvcc, {' '.join(architectures)}", headers, version_of(nvcc))
    compiler = build.find_compiler()
    command = [word.replace("-I", "-isystem") if word.startswith("-I") else word
               for word in build.compiler_command(compiler, nvcc)]
    includes = [word.removeprefix("-isystem") for word in command if word.startswith("-isystem")]
    if not any(os.path.exists(os.path.join(path, GENERATED_HEADER)) for path in includes):
        command.append("-DC10_USING_CUSTOM_GENERATED_MACROS")
    for source in sorted(glob.glob(os.path.join(build.SOURCES, "*_cuda.cpp"))):
        yield Task(source, [*command, "-O0", "-Wall", "-Wextra", "-Werror"],
                   "C++ compiler, PyTorch's headers", headers, version_of(compiler))


def compile_all(todo: list[Task]) -> int:
    """Compiles what has changed, says a line per file, returns how many do not compile."""
    os.makedirs(os.path.join(BUILD, "cuda"), exist_ok=True)
    fresh = [task for task in todo if not os.path.exists(task.target)]
    failed = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for task, (problem, seconds) in zip(fresh, pool.map(Task.run, fresh)):
            name = os.path.basename(task.source)
            failed += bool(problem)
            say(f"  {name}: " + (f"does NOT compile\n{problem}" if problem else
                                 f"compiled ({task.about}; {seconds:.0f} s)"))
    remove_old(todo)
    say(f"cuda-compile: {len(fresh) - failed} compiled, {len(todo) - len(fresh)} unchanged since "
        f"they were, {failed} failed")
    return failed


def remove_old(todo: list[Task]) -> None:
    """Removes the objects of former versions of the files."""
    keep = {task.target for task in todo}
    for path in glob.glob(os.path.join(BUILD, "cuda", "*.o")):
        if path not in keep and re.search(r"-[0-9a-f]{16}\.o$", path):
            os.remove(path)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="sm_80,sm_90",
                        help="architectures, with commas between (default: %(default)s)")
    parser.add_argument("--optional", action="store_true",
                        help="exit status 0 where there is no nvcc")
    args = parser.parse_args(argv)
    nvcc = find_nvcc()
    if nvcc is None:
        where = f"called {os.environ['NVCC']}" if os.environ.get("NVCC") else \
            "in PATH, and none from the package index (make cuda-toolkit)"
        say(f"cuda-compile: NOTHING was compiled: there is no nvcc {where}")
        return 0 if args.optional else 2
    architectures = args.arch.replace(",", " ").split()
    say(f"cuda-compile: {version_of(nvcc)} ({nvcc})")
    return int(compile_all(list(tasks(nvcc, architectures))) > 0)


if __name__ == "__main__":
    sys.exit(main())
