#!/usr/bin/env python
"""Runs the operators' tests under the address and undefined behaviour sanitizers (gcc or clang).

    make sanitize           or      ./tools/sanitize.py [pytest arguments]

The operators, and the CUDA kernels that the tests emulate on the CPU, are built with both into
build/sanitize; nothing else is touched. The first read or write outside an array, use after free,
overflow of a signed integer or other undefined operation ends the run with a report of its place.
Exit status: pytest's; 2 where the compiler has no sanitizers.
"""
import glob
import os
import subprocess
import sys

import _init_paths

TESTS = ["test_ops*.py", "test_roi_gradients.py", "test_cuda_kernels.py"]     # below tests/caffe
# vptr: PyTorch's classes come without what that check compares
FLAGS = ["-fsanitize=address,undefined", "-fno-sanitize=vptr", "-fno-omit-frame-pointer", "-O1",
         "-g"]
# leaks: Python leaves plenty at its end, none of it ours
BUILD = os.path.join(_init_paths.ROOT, "build", "sanitize")
# pytest takes what is printed for itself, and an aborted one shows none of it: a file does
REPORT = os.path.join(BUILD, "report")
ASAN_OPTIONS = "detect_leaks=0:detect_stack_use_after_return=1:strict_init_order=1"
UBSAN_OPTIONS = "halt_on_error=1:print_stacktrace=1"


def operator_tests() -> list[str]:
    folder = _init_paths.ROOT / "tests" / "caffe"
    return [str(path) for name in TESTS for path in sorted(folder.rglob(name))]


def remove_reports() -> None:
    for path in glob.glob(REPORT + ".*"):
        os.remove(path)


def show_reports() -> int:
    """Prints what the sanitizers found; the number of reports."""
    reports = sorted(glob.glob(REPORT + ".*"))
    for path in reports:
        with open(path) as file:
            sys.stderr.write(file.read())
    return len(reports)


def runtime_libraries(compiler: str) -> list[str]:
    """What must be loaded before Python: the sanitizer, and the library that it watches throw."""
    found = []
    for name in ("libasan.so", "libubsan.so", "libstdc++.so.6"):
        path = subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True,
                              text=True, check=True).stdout.strip()
        if not os.path.isabs(path):
            sys.stderr.write(f"sanitize: {compiler} has no {name}; install the sanitizers (Debian, "
                             "Ubuntu: apt install g++)\n")
            sys.exit(2)
        found.append(os.path.realpath(path))
    return found


def main(arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments):
        sys.stdout.write(__doc__)
        return 0
    from caffe.operators import build
    folders = [os.path.join(_init_paths.ROOT, name) for name in
               ("lib", os.path.join("caffe-fast-rcnn", "python"))]
    environment = {
        **os.environ, "CAFFE_CXXFLAGS": " ".join(FLAGS), "OMP_NUM_THREADS": "2",
        "CAFFE_BUILD": BUILD,
        "PYTHONPATH": os.pathsep.join(folders)}
    module = os.path.join(os.path.dirname(build.__file__), "build.py")
    # built first, for the sanitizers would watch the compiler as well
    built = subprocess.run([sys.executable, "-I", module], env=environment, check=False)
    if built.returncode != 0:
        return built.returncode
    environment.update(LD_PRELOAD=" ".join(runtime_libraries(build.find_compiler())),
                       ASAN_OPTIONS=f"{ASAN_OPTIONS}:log_path={REPORT}",
                       UBSAN_OPTIONS=f"{UBSAN_OPTIONS}:log_path={REPORT}", PYTHONMALLOC="malloc")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
               *(arguments or operator_tests())]
    remove_reports()
    status = subprocess.run(command, cwd=_init_paths.ROOT, env=environment, check=False).returncode
    found = show_reports()
    sys.stdout.write(f"sanitize: {found or 'no'} reports\n")
    return status or int(found > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
