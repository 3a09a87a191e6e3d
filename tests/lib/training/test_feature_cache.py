"""TRAIN.FEATURE_CACHE_MB: frozen features are kept, and nothing else changes."""
import numpy as np
import pytest
from small_training import seed

from caffe.files import weights
from caffe.nets.passes.frozen import FeatureCache
from faster_rcnn.training.train_net import train_net


@pytest.fixture
def frozen(make, tmp_path):
    """frozen(kind): a solver whose net's convolution does not learn."""
    def make_frozen(kind, **numbers):
        solver = make(kind, **numbers)
        net = tmp_path / f"{kind}.pt"
        text = net.read_text()
        conv = 'bottom: "data" top: "conv" convolution_param'
        assert text.count(conv) == 1
        net.write_text(text.replace(conv, 'bottom: "data" top: "conv" param { lr_mult: 0 } param '
                                          "{ lr_mult: 0 } convolution_param"))
        return solver
    return make_frozen


@pytest.fixture
def caches(monkeypatch):
    """The caches that trainings make."""
    made, init = [], FeatureCache.__init__

    def noted(cache, limit):
        made.append(cache)
        init(cache, limit)
    monkeypatch.setattr(FeatureCache, "__init__", noted)
    return made


def trained(solver, roidb, folder, **more):
    seed()
    return weights.read_weights(train_net(solver, roidb, str(folder), **more)[-1])


@pytest.mark.parametrize("kind", ["fast_rcnn", "rpn"])
@pytest.mark.parametrize("scales", [[48], [32, 48]])
def test_the_weights_are_the_same_to_the_last_bit(frozen, settings, roidb, tmp_path, caches, kind,
                                                  scales):
    solver = frozen(kind, iter_size=2 if kind == "rpn" else 1)
    with settings(kind, SCALES=scales, CHECKPOINT_ITERS=5):
        without = trained(solver, roidb, tmp_path / "without", max_iters=24)
    assert not caches
    with settings(kind, SCALES=scales, CHECKPOINT_ITERS=5, FEATURE_CACHE_MB=8):
        kept = trained(solver, roidb, tmp_path / "kept", max_iters=24)
    [cache] = caches
    assert cache.hits > cache.misses > 0
    for name in without:
        for one, other in zip(without[name], kept[name]):
            assert np.array_equal(one, other), name


@pytest.mark.parametrize("more", [{}, {"FEATURE_CACHE_MB": 8}])
def test_activations_computed_again_change_nothing(frozen, settings, roidb, tmp_path, more):
    solver = frozen("fast_rcnn")
    with settings("fast_rcnn"):
        plain = trained(solver, roidb, tmp_path / "plain", max_iters=8)
    with settings("fast_rcnn", RECOMPUTE_ACTIVATIONS=True, **more):
        saving = trained(solver, roidb, tmp_path / "saving", max_iters=8)
    for name in plain:
        for one, other in zip(plain[name], saving[name]):
            assert np.array_equal(one, other), name


@pytest.mark.parametrize("change", [{"SCALE_JITTER": [0.8, 1.2]},
                                    {"COLOR_JITTER": [0.1, 0.0, 0.0, 0.0]},
                                    {"RANDOM_CROP": [0.5, 0.5]}])
def test_images_that_change_at_random_are_not_kept(frozen, settings, roidb, tmp_path, caches,
                                                   caplog, change):
    with settings("rpn", FEATURE_CACHE_MB=8, **change):
        trained(frozen("rpn"), roidb, tmp_path, max_iters=3)
    assert not caches
    assert "FEATURE_CACHE_MB does nothing: the images change at random" in caplog.text


def test_a_net_without_frozen_layers_keeps_nothing(make, settings, roidb, tmp_path, caplog):
    with caplog.at_level("INFO"), settings("rpn", FEATURE_CACHE_MB=8):
        trained(make("rpn"), roidb, tmp_path, max_iters=3)
    assert "Features kept" not in caplog.text


def test_the_end_of_a_training_says_what_was_kept(frozen, settings, roidb, tmp_path, caplog):
    with caplog.at_level("INFO"), settings("rpn", FEATURE_CACHE_MB=8):
        trained(frozen("rpn"), roidb, tmp_path, max_iters=12)
    assert "Features kept: 4 images" in caplog.text and "of 12 passes" in caplog.text
