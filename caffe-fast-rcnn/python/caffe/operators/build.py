"""Builds the operators of src/caffe/layers into a library that torch.ops can load.

    python -m caffe.operators.build      builds what is missing, prints the path of the library

As a file (python -I caffe-fast-rcnn/python/caffe/operators/build.py) it needs no other part of
caffe. The library's name carries a hash of the sources, of PyTorch's version, of the flags and of
the processor (it is tuned for the machine at hand), so that it is built once, again after a change,
and never taken for another. It lies in the folder `_build` of the package `caffe`, or in the user's
cache folder where the package is read-only.

$CAFFE_CXXFLAGS adds flags for the C++ compiler and the linker, and $CAFFE_BUILD names another
folder: for a build with sanitizers (tools/sanitize.py).
"""
import contextlib
import fcntl
import functools
import glob
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHECKOUT = os.path.normpath(os.path.join(PACKAGE, "..", "..", "src", "caffe", "layers"))
INSTALLED = os.path.join(PACKAGE, "operators", "sources")    # where setup.py copies them to
SOURCES = CHECKOUT if os.path.isdir(CHECKOUT) else INSTALLED
# No contraction of a * b + c: the golden overlaps and gradients are those of separate roundings.
CPU_FLAGS = ["-std=c++20", "-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno",
             "-fno-trapping-math", "-fopenmp", "-fPIC"]
EXTRA_FLAGS = os.environ.get("CAFFE_CXXFLAGS", "").split()
CUDA_FLAGS = ["-std=c++17", "-O3", "-fmad=false", "-Xcompiler", "-fPIC"]
ARCHITECTURES = ["75", "80", "86", "90"]  # compute capabilities, unless the user lists others

logger = logging.getLogger("caffe.operators.build")


class BuildError(RuntimeError):
    """The operators cannot be built here; the message says why and what to do."""


@dataclass
class Library:
    """One library: its sources, and whether it has the CUDA halves."""

    sources: list[str]
    cuda: bool

    @property
    def path(self) -> str:
        """Where it is, once built; the name changes with everything the library depends on."""
        parts = [torch.__version__, processor(), *CPU_FLAGS, *EXTRA_FLAGS]
        if self.cuda:
            parts += [*CUDA_FLAGS, *architecture_flags()]
        for source in self.sources + sorted(glob.glob(os.path.join(SOURCES, "*.*h"))):
            with open(source, "rb") as file:
                parts += [os.path.basename(source), hashlib.sha256(file.read()).hexdigest()]
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
        return os.path.join(build_folder(), f"operators-{digest}.so")

    def make(self) -> None:
        """Builds the library unless it is there (another process may be building it right now)."""
        compiler = find_compiler()
        nvcc = needed_nvcc() if self.cuda else None
        os.makedirs(build_folder(), exist_ok=True)
        with open(os.path.join(build_folder(), "lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.path.exists(self.path):
                return
            with tempfile.TemporaryDirectory(dir=build_folder()) as scratch:
                objects = [os.path.join(scratch, os.path.basename(s) + ".o") for s in self.sources]
                tools = [nvcc_command(nvcc) if nvcc and s.endswith(".cu") else
                         compiler_command(compiler, nvcc) for s in self.sources]
                run_all([[*tool, "-c", source, "-o", target]
                         for tool, source, target in zip(tools, self.sources, objects)])
                fresh = os.path.join(scratch, "operators.so")
                run_all([link_command(compiler, nvcc, objects, fresh)])
                os.replace(fresh, self.path)


def library(cuda: bool) -> Library:
    """The Library with or without the CUDA halves; BuildError where its sources are missing."""
    sources = sorted(glob.glob(os.path.join(SOURCES, "*.cpp")))
    if not sources:
        raise BuildError(f"the operators' sources are not in {SOURCES}; install the project anew")
    if cuda:
        sources += sorted(glob.glob(os.path.join(SOURCES, "*.cu")))
    else:
        sources = [s for s in sources if not s.endswith("_cuda.cpp")]
    return Library(sources, cuda)


def build() -> str:
    """The path of the library for this machine, built now if it is not there yet."""
    nvcc, why_not = find_nvcc()
    if torch.version.cuda and (nvcc or os.path.exists(library(cuda=True).path)):
        wanted = library(cuda=True)
    else:
        wanted = library(cuda=False)
    if not os.path.exists(wanted.path):
        find_compiler()
        what = "CPU and CUDA" if wanted.cuda else f"the CPU only ({why_not})"
        logger.warning("building the operators for %s; this takes a minute or two", what)
        wanted.make()
    return wanted.path


def find_compiler() -> str:
    """The path of the C++ compiler; BuildError where there is none."""
    names = [os.environ.get("CXX"), "g++", "c++", "clang++"]
    compiler = next((shutil.which(name) for name in names if name and shutil.which(name)), None)
    if compiler is None:
        raise BuildError("the operators need a C++ compiler and there is none in PATH; "
                         "install g++ (Debian, Ubuntu: apt install g++) and try again")
    return compiler


@functools.cache
def find_nvcc() -> tuple[str | None, str | None]:
    """(path of nvcc, None), or (None, why the CUDA halves cannot be built)."""
    if not torch.version.cuda:
        return None, "this PyTorch has no CUDA"
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or "/usr/local/cuda"
    beside = os.path.join(home, "bin", "nvcc")
    nvcc = beside if os.path.exists(beside) else shutil.which("nvcc")
    if nvcc is None:
        return None, "nvcc is neither in PATH nor under CUDA_HOME"
    about = run([nvcc, "--version"]).stdout
    release = about.partition("release ")[2].partition(",")[0]
    if int(release.partition(".")[0] or 0) > int(torch.version.cuda.partition(".")[0]):
        return None, f"nvcc is of CUDA {release}, newer than PyTorch's CUDA {torch.version.cuda}"
    return os.path.realpath(nvcc), None


def needed_nvcc() -> str:
    """The path of nvcc; BuildError where the CUDA halves cannot be built."""
    nvcc, why_not = find_nvcc()
    if nvcc is None:
        raise BuildError(f"the operators cannot be built for CUDA: {why_not}")
    return nvcc


@functools.cache
def cuda_home(nvcc: str) -> str:
    """The CUDA toolkit that an nvcc belongs to; nvcc may be a script that calls the real one."""
    for line in run([nvcc, "--dryrun", "none.cu"]).stderr.splitlines():
        if line.startswith("#$ TOP="):
            return os.path.realpath(line.removeprefix("#$ TOP="))
    return os.path.dirname(os.path.dirname(nvcc))


def architecture_flags() -> list[str]:
    """nvcc's flags for the usual GPUs, the newest as PTX too, which later GPUs translate.

    TORCH_CUDA_ARCH_LIST ("8.0;9.0") overrides the list, as in PyTorch's own extensions.
    """
    wanted = os.environ.get("TORCH_CUDA_ARCH_LIST", "").replace(";", " ").split()
    numbers = [name.removesuffix("+PTX").replace(".", "") for name in wanted] or ARCHITECTURES
    flags = [f"-gencode=arch=compute_{n},code=sm_{n}" for n in numbers]
    return flags + [f"-gencode=arch=compute_{numbers[-1]},code=compute_{numbers[-1]}"]


def nvcc_command(nvcc: str) -> list[str]:
    """nvcc and its flags; the .cu files need no header of PyTorch."""
    return [nvcc, *CUDA_FLAGS, *architecture_flags()]


def compiler_command(compiler: str, nvcc: str | None) -> list[str]:
    """The C++ compiler and its flags, with CUDA's headers where `nvcc` is given."""
    root = os.path.dirname(torch.__file__)
    includes = [os.path.join(root, "include"),
                os.path.join(root, "include", "torch", "csrc", "api", "include")]
    if nvcc:
        includes.append(os.path.join(cuda_home(nvcc), "include"))
    abi = f"-D_GLIBCXX_USE_CXX11_ABI={int(torch._C._GLIBCXX_USE_CXX11_ABI)}"
    return [compiler, *CPU_FLAGS, *EXTRA_FLAGS, abi, *(f"-I{include}" for include in includes)]


def link_command(compiler: str, nvcc: str | None, objects: list[str], target: str) -> list[str]:
    """The command line that makes the library of its objects."""
    folder = os.path.join(os.path.dirname(torch.__file__), "lib")
    # PyTorch's own OpenMP, by its path: two of them in one process would fight over the cores.
    openmp = sorted(glob.glob(os.path.join(folder, "libgomp*.so*")))[:1] or ["-fopenmp"]
    command = [compiler, "-shared", *EXTRA_FLAGS, *objects, "-o", target, f"-L{folder}", "-lc10",
               "-ltorch", "-ltorch_cpu", *openmp]
    if nvcc:
        home = cuda_home(nvcc)
        command += ["-lc10_cuda", "-ltorch_cuda", f"-L{os.path.join(home, 'lib64')}",
                    f"-L{os.path.join(home, 'lib')}", "-lcudart_static", "-ldl", "-lrt",
                    "-lpthread"]
    return command


def processor() -> str:
    """The processor's name and abilities, which decide what -march=native means."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        wanted = ("model name", "flags", "Features", "CPU part")
        return "".join(sorted({line for line in file if line.startswith(wanted)}))
    return platform.processor()


def build_folder() -> str:
    """Where libraries are kept: in $CAFFE_BUILD, in the package, or in the user's cache."""
    if os.environ.get("CAFFE_BUILD"):
        return os.environ["CAFFE_BUILD"]
    beside = os.path.join(PACKAGE, "_build")
    if os.access(beside if os.path.isdir(beside) else PACKAGE, os.W_OK):
        return beside
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(cache, "caffe-fast-rcnn")


def run(command: list[str]) -> subprocess.CompletedProcess:
    """The finished process, with what it wrote."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run_all(commands: list[list[str]]) -> None:
    """Runs command lines side by side; BuildError shows what the first that failed wrote."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for command, done in zip(commands, pool.map(run, commands)):
            if done.returncode != 0:
                raise BuildError(f"building the operators failed: {' '.join(command)}\n"
                                 f"{done.stderr or done.stdout}")


def main() -> None:
    """Builds what is missing and says in one line what there is; exit status 1 on failure."""
    logging.basicConfig(format="%(message)s")
    try:
        path = build()
    except BuildError as error:
        sys.exit(str(error))
    why_not = "" if find_nvcc()[0] else f" (CPU only: {find_nvcc()[1]})"
    sys.stdout.write(f"operators: {path}{why_not}\n")


if __name__ == "__main__":
    main()
