"""cuda_compile: what it compiles, what it says, and that it notices what does not compile."""
import os

import pytest
from handful import TOOLS

from caffe.operators import build

NVCC = """#!/bin/sh
# stands for nvcc: takes everything but a file that says "broken"
case "$1" in
--version) echo "Cuda compilation tools, release 13.0, V13.0.88"; exit ;;
--dryrun) echo "#$ TOP=$(dirname "$0")" >&2; exit ;;
esac
for word; do case "$word" in *.cu) source="$word" ;; esac; target="$word"; done
if grep -q broken "$source"; then echo "$source(1): error: broken" >&2; exit 1; fi
echo "$@" > "$target"
"""


@pytest.fixture
def tool(monkeypatch, tmp_path):
    """The tool, with a stand-in for nvcc, small sources and a build folder of its own."""
    monkeypatch.syspath_prepend(TOOLS)
    import cuda_compile
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "one.cu").write_text("kernel\n")
    (sources / "two.cu").write_text("kernel\n")
    (sources / "one.h").write_text("#define ONE 1\n")
    (sources / "bindings_cuda.cpp").write_text('#include "one.h"\nint one() { return ONE; }\n')
    (sources / "plain.cpp").write_text("no C++ at all, and no business of this tool\n")
    nvcc = tmp_path / "nvcc"
    nvcc.write_text(NVCC)
    nvcc.chmod(0o755)
    monkeypatch.setenv("NVCC", str(nvcc))
    monkeypatch.setattr(build, "SOURCES", str(sources))
    monkeypatch.setattr(cuda_compile, "BUILD", str(tmp_path / "build"))
    return cuda_compile


def test_every_file_once(tool, capsys, tmp_path):
    assert tool.main([]) == 0
    out = capsys.readouterr().out
    for name in ("one.cu: compiled (nvcc, sm_80 sm_90;", "two.cu: compiled", "bindings_cuda.cpp: "
                 "compiled (C++ compiler"):
        assert name in out
    assert "cuda-compile: 3 compiled, 0 unchanged since they were, 0 failed" in out
    objects = os.listdir(tmp_path / "build" / "cuda")
    assert len(objects) == 3
    command = next((tmp_path / "build" / "cuda").glob("one.cu-*")).read_text()
    for word in ("-gencode=arch=compute_80,code=sm_80", "-gencode=arch=compute_90,code=sm_90",
                 "-fmad=false", "all-warnings"):
        assert word in command
    assert tool.main([]) == 0
    assert "0 compiled, 3 unchanged" in capsys.readouterr().out


def test_what_changed_is_compiled_again_and_the_old_goes(tool, capsys, tmp_path):
    tool.main([])
    (tmp_path / "sources" / "two.cu").write_text("another kernel\n")
    assert tool.main([]) == 0 and "1 compiled, 2 unchanged" in capsys.readouterr().out
    (tmp_path / "sources" / "one.h").write_text("#define ONE 2\n")
    assert tool.main([]) == 0 and "3 compiled, 0 unchanged" in capsys.readouterr().out
    assert len(os.listdir(tmp_path / "build" / "cuda")) == 3
    assert tool.main(["--arch", "sm_100"]) == 0
    assert "2 compiled, 1 unchanged" in capsys.readouterr().out


@pytest.mark.parametrize("name, text, message", [
    ("two.cu", "broken\n", "two.cu(1): error: broken"),
    ("bindings_cuda.cpp", "int one() { return two; }\n", "error: .two. was not declared"),
    ("bindings_cuda.cpp", "int one(int unused) { return 1; }\n", "unused parameter")])
def test_what_does_not_compile(tool, capsys, tmp_path, name, text, message):
    (tmp_path / "sources" / name).write_text(text)
    for _ in range(2):      # a failure is not remembered as done
        assert tool.main(["--optional"]) == 1
        out = capsys.readouterr().out
        assert f"{name}: does NOT compile" in out and "1 failed" in out
        assert message.replace(".two.", "") .split("error: ")[-1].strip() in out


def test_without_nvcc(tool, capsys, monkeypatch):
    monkeypatch.setenv("NVCC", "no-such-nvcc")
    assert tool.main([]) == 2
    assert tool.main(["--optional"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "cuda-compile: NOTHING was compiled: there is no nvcc called no-such-nvcc"] * 2


def test_which_nvcc(tool, monkeypatch, tmp_path):
    monkeypatch.delenv("NVCC")
    monkeypatch.setenv("PATH", str(tmp_path))
    in_path = str(tmp_path / "nvcc")
    assert tool.find_nvcc() == in_path
    toolkit = tmp_path / "build" / "cuda-toolkit" / "nvidia" / "cu13" / "bin" / "nvcc"
    toolkit.parent.mkdir(parents=True)
    toolkit.write_text(NVCC)
    assert tool.find_nvcc() == in_path
    os.remove(in_path)
    assert tool.find_nvcc() == str(toolkit)
