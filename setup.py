"""What pyproject.toml cannot say: the Cython modules, caffe_pb2.py, and where the packages lie.

`pip install -e .` leaves everything in the repository. A wheel holds the packages `caffe` and
`faster_rcnn`, the Python layers that prototxts name, the operators' sources, cards, settings and
Tiny's initial weights; the original's names that would collide with other people's packages
(`utils`, `datasets` ...) lie in faster_rcnn/shipped/original (faster_rcnn.files.places). The
operators are compiled into it where PyTorch can be imported while it is built
(`--no-build-isolation`) and there is a compiler, else at the first `import caffe`.
"""
import glob
import os
import shutil
import subprocess
import sys

from Cython.Build import cythonize
from setuptools import Command, Extension, find_packages, setup
from setuptools.command.build import build
from setuptools.command.build_py import build_py

HERE = os.path.dirname(os.path.abspath(__file__))
ENGINE = os.path.join("caffe-fast-rcnn", "python")
GENERIC = ("datasets", "nms", "transform", "utils")
# What lies elsewhere in the repository: pattern, folder in the wheel
SHIPPED = (("caffe-fast-rcnn/src/caffe/layers/*", "caffe/operators/sources"),
           ("data/cards/*.yml", "faster_rcnn/shipped/cards"),
           ("experiments/cfgs/*.yml", "faster_rcnn/shipped/cfgs"),
           ("data/weights.yml", "faster_rcnn/shipped/data"),
           ("data/imagenet_models/Tiny.v2.caffemodel",
            "faster_rcnn/shipped/data/imagenet_models"),
           *((f"lib/{name}/*.py", f"faster_rcnn/shipped/original/{name}") for name in GENERIC))
EDITABLE = "editable_wheel" in sys.argv


class BuildSchema(Command):
    """Makes caffe_pb2.py of caffe.proto."""

    user_options = []
    editable_mode = False

    def initialize_options(self):
        pass

    def finalize_options(self):
        pass

    def run(self):
        script = os.path.join(HERE, ENGINE, "caffe", "proto", "generate.py")
        subprocess.run([sys.executable, script], check=True)

    def get_source_files(self):
        return [os.path.join("caffe-fast-rcnn", "src", "caffe", "proto", "caffe.proto")]

    def get_outputs(self):
        return []

    def get_output_mapping(self):
        return {}


class BuildPackages(build_py):
    """The usual copy of the packages; for a wheel also what lies elsewhere in the repository."""

    def run(self):
        super().run()
        if not self.editable_mode:
            self.copy_shipped()
            self.compile_operators()

    def copy_shipped(self):
        for pattern, target in SHIPPED:
            folder = os.path.join(self.build_lib, target)
            os.makedirs(folder, exist_ok=True)
            for path in glob.glob(os.path.join(HERE, pattern)):
                shutil.copy(path, folder)

    def compile_operators(self):
        """By the PyTorch that is there; where there is none, the first import compiles them."""
        package = os.path.join(os.path.abspath(self.build_lib), "caffe")
        script = os.path.join(package, "operators", "build.py")
        env = dict(os.environ, CAFFE_BUILD=os.path.join(package, "_build"))
        done = subprocess.run([sys.executable, "-I", script], env=env, capture_output=True,
                              text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            self.announce(f"the operators are left to the first import: {reason}", level=3)


class Build(build):
    """The usual build, after the schema."""

    sub_commands = [("build_schema", None), *build.sub_commands]


packages = [name for name in find_packages("lib") + find_packages(ENGINE)
            if EDITABLE or name.partition(".")[0] not in GENERIC]
setup(
    package_dir={"": "lib", "caffe": os.path.join(ENGINE, "caffe")},
    packages=packages,
    ext_modules=cythonize([
        Extension(name, [os.path.join("lib", *name.split(".")) + ".pyx"],
                  extra_compile_args=["-O3", "-ffp-contract=off"])
        for name in ("faster_rcnn.boxes.cython_bbox", "faster_rcnn.boxes.cpu_nms")],
        build_dir="build"),
    cmdclass={"build": Build, "build_py": BuildPackages, "build_schema": BuildSchema},
)
