"""The shell scripts in a project folder of a test's own, where it may put nets and data."""
import os
import subprocess
import sys

from faster_rcnn.settings.config import cfg


def make_project(folder):
    """A folder with this project's scripts, tools and settings, and room for models and data."""
    os.makedirs(os.path.join(folder, "experiments"))
    for part in ("tools", "lib", "experiments/scripts", "experiments/cfgs"):
        os.symlink(os.path.join(cfg.ROOT_DIR, part), os.path.join(folder, part))
    os.makedirs(os.path.join(folder, "data"))
    return str(folder)


def run_script(folder, name, *args, **variables):
    """Runs a script of this project or of one made by make_project as users do.

    variables: of the environment; None takes one away.
    """
    env = {**os.environ, "PYTHON": sys.executable, **variables}
    return subprocess.run(
        ["bash", os.path.join(folder, "experiments", "scripts", name), *map(str, args)],
        capture_output=True, text=True, timeout=600,
        env={key: value for key, value in env.items() if value is not None})


def settings(folder):
    """--set values that keep results, data and models of a project in it."""
    return ["ROOT_DIR", folder, "DATA_DIR", os.path.join(folder, "data"), "MODELS_DIR",
            os.path.join(folder, "models", "pascal_voc")]
