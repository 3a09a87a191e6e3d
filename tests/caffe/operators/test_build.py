"""When the operators are built again, and what is said where they cannot be."""
import os
import shutil

import pytest
import torch

from caffe.operators import build


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A small set of sources with a folder of its own to build in."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "one.cpp").write_text('#include "one.h"\nint one() { return ONE; }\n')
    (folder / "one.h").write_text("#define ONE 1\n")
    (folder / "bindings_cuda.cpp").write_text("int two() { return 2; }\n")
    (folder / "kernel.cu").write_text("int three() { return 3; }\n")
    monkeypatch.setattr(build, "SOURCES", str(folder))
    monkeypatch.setattr(build, "build_folder", lambda: str(tmp_path / "built"))
    return folder


def test_builds_once_and_again_after_a_change(sources):
    first = build.build()
    made = os.stat(first).st_mtime_ns
    assert build.build() == first and os.stat(first).st_mtime_ns == made
    (sources / "one.h").write_text("#define ONE 2\n")
    second = build.build()
    assert second != first and os.path.exists(second)
    assert sorted(os.listdir(os.path.dirname(first))) == sorted(
        ["lock", os.path.basename(first), os.path.basename(second)])


@pytest.mark.parametrize("what", ["torch", "processor", "flags"])
def test_another_machine_gets_another_library(sources, monkeypatch, what):
    before = build.library(cuda=False).path
    if what == "torch":
        monkeypatch.setattr(torch, "__version__", "0.0.0")
    elif what == "processor":
        monkeypatch.setattr(build, "processor", lambda: "a different one")
    else:
        monkeypatch.setattr(build, "CPU_FLAGS", [*build.CPU_FLAGS, "-DX"])
    assert build.library(cuda=False).path != before


def test_the_cpu_library_leaves_the_cuda_halves_out(sources):
    def names(cuda):
        return [os.path.basename(s) for s in build.library(cuda).sources]
    assert names(False) == ["one.cpp"]
    assert names(True) == ["bindings_cuda.cpp", "one.cpp", "kernel.cu"]
    assert build.library(True).path != build.library(False).path


def test_a_compiler_error_is_shown_and_nothing_is_left(sources):
    (sources / "one.cpp").write_text("this is not C++\n")
    with pytest.raises(build.BuildError, match="one.cpp"):
        build.build()
    assert os.listdir(os.path.dirname(build.library(False).path)) == ["lock"]


def test_without_a_compiler_one_line_but_a_built_library_is_found(sources, monkeypatch):
    built = build.build()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert build.build() == built
    (sources / "one.h").write_text("#define ONE 3\n")
    with pytest.raises(build.BuildError, match="need a C\\+\\+ compiler .* apt install g\\+\\+"):
        build.build()


def test_without_sources(sources):
    shutil.rmtree(sources)
    with pytest.raises(build.BuildError, match="sources are not in .*; install the project"):
        build.build()


def test_why_there_is_no_cuda(monkeypatch, tmp_path):
    def reason(cuda):
        build.find_nvcc.cache_clear()
        monkeypatch.setattr(torch.version, "cuda", cuda)
        return build.find_nvcc()
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert reason(None) == (None, "this PyTorch has no CUDA")
    assert reason("12.6") == (None, "nvcc is neither in PATH nor under CUDA_HOME")
    with pytest.raises(build.BuildError, match="for CUDA: nvcc is neither in PATH nor under"):
        build.needed_nvcc()
    (tmp_path / "bin").mkdir()
    nvcc = tmp_path / "bin" / "nvcc"
    nvcc.write_text("#!/bin/sh\necho 'Cuda compilation tools, release 13.0, V13.0.88'\n")
    nvcc.chmod(0o755)
    assert reason("12.6") == (None, "nvcc is of CUDA 13.0, newer than PyTorch's CUDA 12.6")
    assert reason("13.1") == (str(nvcc.resolve()), None)
    build.find_nvcc.cache_clear()


def test_architectures(monkeypatch):
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "8.0;9.0+PTX")
    assert build.architecture_flags() == [
        "-gencode=arch=compute_80,code=sm_80", "-gencode=arch=compute_90,code=sm_90",
        "-gencode=arch=compute_90,code=compute_90"]


def test_a_read_only_package_builds_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert build.build_folder() == str(tmp_path / "caffe-fast-rcnn")


def test_main_prints_one_line(sources, capsys):
    build.main()
    assert capsys.readouterr().out.startswith(f"operators: {build.library(False).path}")
    (sources / "one.cpp").write_text("this is not C++\n")
    with pytest.raises(SystemExit, match="building the operators failed"):
        build.main()
