"""Other people's weights: SqueezeNet's published .caffemodel gives the scores that Caffe recorded.

The weights and the recorded scores lie beside the project (../shared/weights), not in it.
"""
import os

import numpy as np
import pytest

import caffe
from faster_rcnn.settings.config import cfg

WEIGHTS = os.path.join(cfg.ROOT_DIR, "..", "shared", "weights", "squeezenet_v1.0.caffemodel")
REFERENCE = WEIGHTS.replace(".caffemodel", "_reference.npz")
DEPLOY = os.path.join(cfg.ROOT_DIR, "models", "imagenet", "SqueezeNet", "deploy.prototxt")
MEAN = np.array([104, 117, 123], np.float32)

pytestmark = pytest.mark.skipif(not os.path.exists(WEIGHTS),
                                reason="../shared/weights is not there")


@pytest.fixture(scope="module")
def net():
    return caffe.Net(DEPLOY, WEIGHTS, caffe.TEST)


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def forward(net, picture):
    """Scores (1000,) of a picture (227, 227, 3) uint8, blue green red."""
    net.blobs["data"].data[0] = (picture.astype(np.float32) - MEAN).transpose(2, 0, 1)
    return net.forward()["pool_final"].ravel().copy()


def test_every_layer_gets_its_weights(net):
    report = net.last_copy
    assert not report.missing and not report.ignored_source
    assert len(report.copied) == 26


def test_scores_of_every_picture(net, reference):
    names = [key[:-len("_input")] for key in reference if key.endswith("_input")]
    assert names
    for name in names:
        scores, expected = forward(net, reference[name + "_input"]), reference[name + "_prob"]
        assert np.abs(scores - expected).max() <= 1e-4 * np.abs(expected).max(), name
        assert scores.argmax() == expected.argmax()


def test_blobs_on_the_way(net, reference):
    forward(net, reference["cat_input"])
    checked = [key for key in reference if key.startswith(("cat_mean_", "cat_std_"))]
    assert len(checked) == 10
    for key in checked:
        _, kind, name = key.split("_", 2)
        blob = net.blobs[name.replace("_concat", "/concat")].data
        assert getattr(np, kind)(blob) == pytest.approx(float(reference[key]), rel=1e-4), key


def test_the_classification_notebook_sees_the_same(reference):
    """RGB between 0 and 1 through caffe.Classifier's preprocessing, and its top five."""
    classifier = caffe.Classifier(DEPLOY, WEIGHTS, mean=MEAN, raw_scale=255, channel_swap=(2, 1, 0))
    picture = reference["cat_input"][:, :, ::-1].astype(np.float32) / 255
    scores = classifier.predict([picture], oversample=False)[0].ravel()
    expected = reference["cat_prob"].ravel()
    assert np.abs(scores - expected).max() <= 1e-3 * np.abs(expected).max()
    assert (scores.argsort()[:-6:-1] == expected.argsort()[:-6:-1]).all()
