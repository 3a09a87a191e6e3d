"""The wheel: built of a source archive, unpacked elsewhere, used without the checkout."""
import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from sources import ROOT

BUILT_OF = ("lib", "caffe-fast-rcnn", "data/cards", "data/imagenet_models", "experiments/cfgs",
            "data/weights.yml", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE",
            "CHANGELOG.md", "CITATION.cff")
OPERATORS = ROOT / "caffe-fast-rcnn" / "python" / "caffe" / "_build"
# All of them are names that prototxts and programs of py-faster-rcnn use
TOP_LEVEL = {"caffe", "faster_rcnn", "fast_rcnn", "roi_data_layer", "rpn"}
C_TOOLS = ("gcc", "cc", "as", "ld", "ar")       # enough for Cython's modules, not for C++


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of an unpacked wheel; the operators are not compiled, which takes a minute."""
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler is there")
    folder = tmp_path_factory.mktemp("wheel")
    for name in BUILT_OF:
        target = folder / "project" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns(
                "_build", "*.so", "__pycache__", "*.egg-info", "caffe_pb2.py"))
        else:
            shutil.copy(ROOT / name, target)
    tools = folder / "tools"
    tools.mkdir()
    for name in C_TOOLS:
        (tools / name).symlink_to(shutil.which(name))
    archive = ["-c", "from setuptools import build_meta; build_meta.build_sdist('..')"]
    built(archive, tools, folder / "project")
    [source] = folder.glob("*.tar.gz")
    built(["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", ".",
           str(source)], tools, folder)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def built(words, tools, folder):
    """Runs Python in a folder, with some programs alone on the PATH."""
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, "PATH": str(tools), "CXX": ""}, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def run(site, tmp_path_factory):
    """run(word, ...): python WORDS in another folder, with the wheel's packages before others."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    env = {**os.environ, "PYTHONPATH": str(site), "CAFFE_BUILD": str(OPERATORS)}

    def run(*words):
        done = subprocess.run([sys.executable, *map(str, words)], cwd=elsewhere, env=env,
                              capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout
    run.folder = elsewhere
    return run


def test_the_wheel_has_no_generic_names(site):
    found = {path.name for path in site.iterdir() if path.suffix != ".dist-info"}
    assert found == TOP_LEVEL
    [metadata] = site.glob("*.dist-info/METADATA")
    text = metadata.read_text(encoding="utf-8")
    assert "License-Expression: MIT" in text and "# Faster R-CNN" in text


def test_it_is_imported_from_where_it_lies(site, run):
    out = run("-c", "import caffe, faster_rcnn, rpn, fast_rcnn.config as c;"
                    "print(caffe.__file__, faster_rcnn.__file__, rpn.__file__, c.__file__)")
    assert all(path.startswith(str(site)) for path in out.split())
    assert "train" in run("-m", "caffe", "--help")


def test_original_names_on_demand(site, run):
    out = run("-c", "from faster_rcnn.files.places import use_original_names as use; use();"
                    "import datasets.imdb as d; print(d.__file__)")
    assert out.startswith(str(site))


def test_the_embedded_set_from_pictures_to_detections(run):
    run("-m", "faster_rcnn", "shapes", "--trainval", 6, "--test", 2)
    said = run("-m", "faster_rcnn", "train", "shapes", "--cpu", "--net", "Tiny", "--iters", 2)
    assert "Mean AP = " in said and "Page: " in said
    [weights] = (run.folder / "output").rglob("*.caffemodel")
    run("-m", "faster_rcnn", "detect", weights, "data/shapes/JPEGImages", "--cpu", "--out", "found")
    assert (run.folder / "found" / "detections.json").is_file()
    out = run("-c", "import sys; from faster_rcnn import Detector; d = Detector(sys.argv[1],"
              "device='cpu', threshold=0);"
              "print(len(d('data/shapes/JPEGImages/000001.jpg')) > 0)", weights)
    assert out == "True\n"
