"""What pyproject.toml cannot say: the Cython modules, caffe_pb2.py, and where the packages lie.

Made for `pip install -e .`: data, models and scripts stay in the repository. The operators are not
built here but at the first `import caffe`, with the PyTorch that is then there
(caffe.operators.build).
"""
import os
import subprocess
import sys

from Cython.Build import cythonize
from setuptools import Command, Extension, find_packages, setup
from setuptools.command.build import build

HERE = os.path.dirname(os.path.abspath(__file__))
ENGINE = os.path.join("caffe-fast-rcnn", "python")


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


class Build(build):
    """The usual build, after the schema."""

    sub_commands = [("build_schema", None), *build.sub_commands]


setup(
    package_dir={"": "lib", "caffe": os.path.join(ENGINE, "caffe")},
    packages=find_packages("lib") + find_packages(ENGINE),
    ext_modules=cythonize([
        Extension(name, [os.path.join("lib", *name.split(".")) + ".pyx"],
                  extra_compile_args=["-O3", "-ffp-contract=off"])
        for name in ("faster_rcnn.boxes.cython_bbox", "faster_rcnn.boxes.cpu_nms")],
        build_dir="build"),
    cmdclass={"build": Build, "build_schema": BuildSchema},
)
