"""The download scripts of data/scripts, with archives on this machine instead of servers."""
import hashlib
import os
import shutil
import subprocess
import tarfile

import pytest

from faster_rcnn.settings.config import cfg

SCRIPTS = os.path.join(cfg.ROOT_DIR, "data", "scripts")


@pytest.fixture
def fetch(tmp_path):
    """(run, archive, script): a script for an archive with one file, in a project of its own."""
    source = tmp_path / "elsewhere" / "small.tgz"
    source.parent.mkdir()
    (tmp_path / "weights").write_text("numbers")
    with tarfile.open(source, "w:gz") as tar:
        tar.add(tmp_path / "weights", "models/weights")
    scripts = tmp_path / "data" / "scripts"
    scripts.mkdir(parents=True)
    shutil.copy(os.path.join(SCRIPTS, "common.sh"), scripts)
    script = scripts / "fetch_small.sh"
    with open(os.path.join(SCRIPTS, "fetch_imagenet_models.sh")) as file:
        text = file.read()
    start = text.index("fetch imagenet_models.tgz")
    md5 = hashlib.md5(source.read_bytes()).hexdigest()
    script.write_text(text[:start] + f"fetch small.tgz {md5} file://{source}\n")

    def run(**variables):
        return subprocess.run(["bash", str(script)], capture_output=True, text=True, timeout=60,
                              env={**os.environ, **variables})
    return run, source, tmp_path / "data"


def test_downloads_checks_and_unpacks(fetch):
    run, source, data = fetch
    done = run()
    assert done.returncode == 0, done.stderr
    assert (data / "models" / "weights").read_text() == "numbers"
    source.unlink()
    shutil.rmtree(data / "models")
    again = run()
    assert again.returncode == 0 and "No need to download" in again.stdout
    assert (data / "models" / "weights").exists()


def test_a_server_that_is_gone_is_one_line(fetch):
    run, source, data = fetch
    done = run(URL=f"file://{source}.gone")
    assert done.returncode == 2
    line = done.stderr.strip().splitlines()[-1]
    assert "small.tgz" in line and str(data) in line and "URL=" in line
    assert not (data / "small.tgz").exists()


def test_another_file_is_not_unpacked(fetch):
    run, source, data = fetch
    source.write_bytes(b"<html>")
    done = run()
    assert done.returncode == 2 and "md5" in done.stderr
    assert not (data / "small.tgz").exists() and not (data / "models").exists()


def test_published_archives_and_sums():
    found = {}
    for name in sorted(os.listdir(SCRIPTS)):
        if name.startswith("fetch_"):
            with open(os.path.join(SCRIPTS, name)) as file:
                archive, md5 = file.read().split("\nfetch ")[1].split()[:2]
            found[archive] = md5
            assert os.access(os.path.join(SCRIPTS, name), os.X_OK)
    assert found == {"faster_rcnn_models.tgz": "ac116844f66aefe29587214272054668",
                     "imagenet_models.tgz": "ed34ca912d6782edfb673a8c3a0bda6d",
                     "selective_search_data.tgz": "7078c1db87a7851b31966b96774cd9b9",
                     "fast_rcnn_ohem_models.tgz": "cbfd5b7ed5ec4d5cb838701cbf1f3ccb"}
