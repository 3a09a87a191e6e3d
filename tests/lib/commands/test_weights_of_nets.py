"""What belongs to the weights of a net: their means, and where initial ones can be had."""
import glob

from faster_rcnn.commands import start
from faster_rcnn.files import safe_yaml
from faster_rcnn.files.reading import read_text
from faster_rcnn.networks.backbones.table import BACKBONES
from faster_rcnn.settings.config import cfg, cfg_override


def net_named(tmp_path, name):
    path = tmp_path / "net.prototxt"
    path.write_text(f"name: '{name}'\ninput: 'data' input_shape {{ dim: 1 dim: 3 dim: 4 dim: 4 }}")
    return str(path)


def test_nets_know_their_means(tmp_path):
    with cfg_override():
        start.use_means_of(net_named(tmp_path, "ZF"))
        assert cfg.PIXEL_MEANS.ravel().tolist() == start.USUAL_MEANS.ravel().tolist()
        start.use_means_of(net_named(tmp_path, "EfficientNet-Lite0"))
        assert cfg.PIXEL_MEANS.tolist() == [[[127, 127, 127]]]


def test_means_that_are_set_stay(tmp_path):
    with cfg_override(PIXEL_MEANS=[[[1.0, 2.0, 3.0]]]):
        start.use_means_of(net_named(tmp_path, "EfficientNet-Lite0"))
        assert cfg.PIXEL_MEANS.tolist() == [[[1, 2, 3]]]


def test_settings_of_nets_have_their_means():
    for name, backbone in BACKBONES.items():
        for path in glob.glob(f"{cfg.ROOT_DIR}/experiments/cfgs/*_{name}.yml"):
            means = safe_yaml.load(read_text(path)).get("PIXEL_MEANS")
            assert means is None or means == [[list(backbone.pixel_means)]], path



def test_initial_weights_are_got_once(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(start, "get_weights", lambda net, _: asked.append(net) or "got")
    with cfg_override(DATA_DIR=str(tmp_path)):
        path = tmp_path / "imagenet_models" / "EfficientNet-Lite0.v2.caffemodel"
        assert start.initial_weights(str(path)) == "got" and asked == ["EfficientNet-Lite0"]
        path.parent.mkdir()
        path.touch()
        assert start.initial_weights(str(path)) == str(path) and len(asked) == 1
        for other in (None, "mine.caffemodel"):
            assert start.initial_weights(other) == other
