"""Pretraining of Tiny: crops of every class, folding that changes nothing, the shipped file."""
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import caffe
from caffe.files import prototxt, weights
from faster_rcnn.synthetic import shape_crops, shapes

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "data" / "imagenet_models" / "Tiny.v2.caffemodel"
TINY = ROOT / "models" / "pascal_voc" / "Tiny" / "faster_rcnn_alt_opt"


@pytest.fixture(scope="module")
def tool():
    sys.path.insert(0, str(ROOT / "tools"))
    spec = importlib.util.spec_from_file_location("pretrain", ROOT / "tools" / "pretrain_tiny.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pools_repeat_and_hold_every_label():
    crops, labels = shape_crops.make_pool(3, 40, 48)
    again, _ = shape_crops.make_pool(3, 40, 48)
    assert crops.shape == (40, 48, 48, 3) and crops.dtype == np.uint8
    np.testing.assert_array_equal(crops, again)
    assert set(labels) == set(range(len(shapes.CLASSES) + 1))


def test_varied_crops_differ_and_keep_their_size():
    crop = shape_crops.render_crop(np.random.RandomState(0), 48, 1)
    varied = [shape_crops.vary(crop, np.random.RandomState(seed), 40) for seed in range(4)]
    assert all(v.shape == (40, 40, 3) and v.min() >= 0 and v.max() <= 255 for v in varied)
    assert len({v.tobytes() for v in varied}) == 4


def test_folded_convolutions_do_the_work_of_batch_norm(tool):
    message = tool.net_message(pool=16, seed=1, batch_norm=True)
    caffe.set_random_seed(1)
    net = caffe.Net(message, caffe.TEST)
    rng = np.random.RandomState(0)
    for name, blobs in net.params.items():
        if name.endswith("_BatchNorm"):
            blobs[0].data[...] = rng.normal(0, 5, blobs[0].shape) * 3
            blobs[1].data[...] = rng.uniform(1, 9, blobs[1].shape) * 3
            blobs[2].data[...] = 3                       # Caffe keeps sums, and their weight here
        elif name.endswith("_Scale"):
            for blob in blobs:
                blob.data[...] = rng.normal(1, 0.3, blob.shape)
    plain = caffe.Net(tool.net_message(pool=16, seed=1, batch_norm=False), caffe.TEST)
    for name, (weight, bias) in tool.folded(net).items():
        plain.params[name][0].data[...], plain.params[name][1].data[...] = weight, bias
    for name in ("fc_crop", "crop_score"):
        for ours, theirs in zip(plain.params[name], net.params[name]):
            ours.data[...] = theirs.data
    net.forward()
    plain.forward()
    np.testing.assert_array_equal(net.blobs["data"].data, plain.blobs["data"].data)
    expected = net.blobs["crop_score"].data
    np.testing.assert_allclose(plain.blobs["crop_score"].data, expected, rtol=1e-3,
                               atol=1e-4 * np.abs(expected).max())


def test_the_tool_writes_the_convolutions(tool, tmp_path):
    path = tmp_path / "Tiny.caffemodel"
    tool.main(["--iters", "3", "--pool", "32", "--output", str(path), "--work", str(tmp_path)])
    assert shapes_of(weights.read_weights(str(path))) == backbone_shapes()


def test_the_shipped_file_fits_the_net():
    stored = weights.read_weights(str(SHIPPED))
    assert shapes_of(stored) == backbone_shapes()
    assert SHIPPED.stat().st_size < 1_000_000
    assert all(np.isfinite(blob).all() for blobs in stored.values() for blob in blobs)


def shapes_of(stored):
    return {name: [blob.shape for blob in blobs] for name, blobs in stored.items()}


def backbone_shapes():
    """Shapes of the shared layers' parameters in the net that the detector tests with."""
    net = caffe.Net(prototxt.read_net(str(TINY / "rpn_test.pt")), caffe.TEST)
    return {name: [tuple(blob.shape) for blob in blobs] for name, blobs in net.params.items()
            if name.startswith("conv")}
