"""Other people's pycaffe scripts run as they are: notebooks and projects that use trained nets.

Each test is written as its users write; small random nets stand in for the published weights.
"""
import numpy as np
import pytest
from net_texts import CLASSIFIER, conv, fc, input_layer, layer

import caffe
from caffe import _caffe
from caffe import layers as L
from caffe import params as P
from caffe.coord_map import crop

pytestmark = pytest.mark.usefixtures("seeds")


def test_classification_notebook(saved, tmp_path):
    model_def, model_weights = saved(CLASSIFIER)
    net = caffe.Net(model_def, model_weights, caffe.TEST)
    np.save(tmp_path / "mean.npy", np.random.rand(3, 16, 16) * 255)
    mu = np.load(tmp_path / "mean.npy").mean(1).mean(1)
    transformer = caffe.io.Transformer({"data": net.blobs["data"].data.shape})
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_mean("data", mu)
    transformer.set_raw_scale("data", 255)
    transformer.set_channel_swap("data", (2, 1, 0))
    net.blobs["data"].reshape(5, 3, 12, 12)
    image = np.random.rand(20, 30, 3).astype(np.float32)
    net.blobs["data"].data[...] = transformer.preprocess("data", image)
    output = net.forward()
    output_prob = output["prob"][0]
    assert output["prob"].shape == (5, 7)
    top_inds = output_prob.argsort()[::-1][:5]
    assert top_inds[0] == output_prob.argmax() and output_prob.sum() == pytest.approx(1, abs=1e-5)
    assert [(name, blob.data.shape) for name, blob in net.blobs.items()][:2] == [
        ("data", (5, 3, 12, 12)), ("conv1", (5, 6, 12, 12))]
    assert {name: (param[0].data.shape, param[1].data.shape) for name, param in
            net.params.items()}["fc7"] == ((7, 9), (7,))
    seen = transformer.deprocess("data", net.blobs["data"].data[0])
    assert np.abs(seen - caffe.io.resize_image(image, (12, 12))).max() < 1e-5
    # the same through caffe.Classifier
    classifier = caffe.Classifier(model_def, model_weights, mean=mu, channel_swap=(2, 1, 0),
                                  raw_scale=255, image_dims=(12, 12))
    assert np.allclose(classifier.predict([image], oversample=False)[0], output_prob, atol=1e-5)


def vis_square(data):
    """The notebook's mosaic of filters (n, height, width, 3), without the plot."""
    data = (data - data.min()) / (data.max() - data.min())
    n = int(np.ceil(np.sqrt(data.shape[0])))
    padding = (((0, n ** 2 - data.shape[0]), (0, 1), (0, 1)) + ((0, 0),) * (data.ndim - 3))
    data = np.pad(data, padding, mode="constant", constant_values=1)
    data = data.reshape((n, n) + data.shape[1:]).transpose(
        (0, 2, 1, 3) + tuple(range(4, data.ndim + 1)))
    return data.reshape((n * data.shape[1], n * data.shape[3]) + data.shape[4:])


def test_filter_visualisation(saved):
    net = caffe.Net(*saved(CLASSIFIER), caffe.TEST)
    filters = net.params["conv1"][0].data
    assert vis_square(filters.transpose(0, 2, 3, 1)).shape == (12, 12, 3)
    net.blobs["data"].data[...] = np.random.rand(10, 3, 12, 12)
    net.forward()
    assert vis_square(net.blobs["conv1"].data[0, :36]).shape == (39, 39)
    assert vis_square(net.blobs["pool1"].data[0]).shape == (21, 21)
    feat = net.blobs["fc6"].data[0]
    assert feat.flat[feat > 0].shape == (np.count_nonzero(feat > 0),)


def test_net_surgery(saved, tmp_path):
    """InnerProduct layers become convolutions; the net gives the same scores at every position."""
    net = caffe.Net(*saved(CLASSIFIER), caffe.TEST)
    params = ["fc6", "fc7"]
    fc_params = {pr: (net.params[pr][0].data, net.params[pr][1].data) for pr in params}

    def fully_convolutional(name, bottom, outputs, size):
        return layer(name, "Convolution", bottom, None,
                     f"convolution_param {{ num_output: {outputs} kernel_size: {size} }}")

    text = CLASSIFIER[:CLASSIFIER.index('layer { name: "fc6"')].replace("dim: 12", "dim: 16")
    text += (fully_convolutional("fc6-conv", "conv2", 9, 6)
             + layer("relu6", "ReLU", "fc6-conv", "fc6-conv")
             + fully_convolutional("fc7-conv", "fc6-conv", 7, 1)
             + layer("prob", "Softmax", "fc7-conv"))
    model, _ = saved(text, "full_conv")
    net_full_conv = caffe.Net(model, str(tmp_path / "net.caffemodel"), caffe.TEST)
    params_full_conv = ["fc6-conv", "fc7-conv"]
    conv_params = {pr: (net_full_conv.params[pr][0].data, net_full_conv.params[pr][1].data)
                   for pr in params_full_conv}
    for pr, pr_conv in zip(params, params_full_conv):
        conv_params[pr_conv][0].flat = fc_params[pr][0].flat
        conv_params[pr_conv][1][...] = fc_params[pr][1]
    net_full_conv.save(str(tmp_path / "surgery.caffemodel"))

    net_full_conv = caffe.Net(model, str(tmp_path / "surgery.caffemodel"), caffe.TEST)
    image = np.zeros((10, 3, 16, 16), np.float32)
    image[:, :, :12, :12] = np.random.rand(10, 3, 12, 12)
    out = net_full_conv.forward_all(data=image)
    assert out["prob"].shape == (10, 7, 3, 3)
    # a single position is the first net's answer
    net_full_conv.blobs["data"].reshape(10, 3, 12, 12)
    one = net_full_conv.forward_all(data=image[:, :, :12, :12])["prob"]
    same = net.forward_all(data=image[:, :, :12, :12])["prob"]
    np.testing.assert_allclose(one.reshape(10, 7), same, atol=1e-5)


def test_mtcnn(saved):
    """Small nets with PReLU, reshaped for every size of the image pyramid."""
    def prelu(name, bottom):
        return layer(name, "PReLU", bottom, bottom)

    pnet = caffe.Net(*saved(
        'name: "PNet" input: "data" input_dim: 1 input_dim: 3 input_dim: 12 input_dim: 12 '
        + conv("conv1", "data", 4) + prelu("PReLU1", "conv1")
        + layer("pool1", "Pooling", "conv1", None,
                "pooling_param { pool: MAX kernel_size: 2 stride: 2 }")
        + conv("conv4-1", "pool1", 2) + conv("conv4-2", "pool1", 4)
        + layer("prob1", "Softmax", "conv4-1"), "det1"), caffe.TEST)
    rnet = caffe.Net(*saved(
        'name: "RNet" input: "data" input_dim: 1 input_dim: 3 input_dim: 24 input_dim: 24 '
        + fc("fc1", "data", 8) + prelu("PReLU2", "fc1") + fc("conv5-1", "fc1", 2)
        + fc("conv5-2", "fc1", 4) + layer("prob1", "Softmax", "conv5-1"), "det2"), caffe.TEST)
    assert pnet.params["PReLU1"][0].data.shape == (4,)
    image = np.random.rand(40, 60, 3) * 255
    for scale in (1.0, 0.7, 0.5):
        height, width = (int(np.ceil(n * scale)) for n in image.shape[:2])
        im_data = (caffe.io.resize_image(image, (height, width)) - 127.5) * 0.0078125
        pnet.blobs["data"].reshape(1, 3, height, width)
        pnet.blobs["data"].data[...] = np.swapaxes(im_data, 0, 2).transpose(0, 2, 1)
        out = pnet.forward()
        assert set(out) == {"conv4-2", "prob1"}
        assert out["prob1"][0, 1].shape == (-(-height // 2), -(-width // 2))
    tempimg = np.random.rand(5, 3, 24, 24)
    rnet.blobs["data"].reshape(5, 3, 24, 24)
    rnet.blobs["data"].data[...] = tempimg
    out = rnet.forward()
    score, box = out["prob1"][:, 1], out["conv5-2"]
    assert score.shape == (5,) and box.shape == (5, 4)
    rnet.blobs["data"].reshape(1, 3, 24, 24)
    rnet.blobs["data"].data[...] = tempimg[3]
    assert rnet.forward()["prob1"][0, 1] == pytest.approx(score[3], rel=1e-4)


def upsample_filt(size):
    """FCN's bilinear kernel."""
    factor = (size + 1) // 2
    center = factor - 1 if size % 2 == 1 else factor - 0.5
    og = np.ogrid[:size, :size]
    return (1 - abs(og[0] - center) / factor) * (1 - abs(og[1] - center) / factor)


def interp(net, layers):
    """FCN's surgery.interp: layers' weights become bilinear interpolation."""
    for name in layers:
        m, k, h, w = net.params[name][0].data.shape
        assert m == k or k == 1
        assert h == w
        filt = upsample_filt(h)
        net.params[name][0].data[range(m), range(k), :, :] = filt


def transplant(new_net, net):
    """FCN's surgery.transplant: parameters of the same number of values move over."""
    for p in net.params:
        if p not in new_net.params:
            continue
        for i in range(len(net.params[p])):
            if i > (len(new_net.params[p]) - 1):
                break
            new_net.params[p][i].data.flat = net.params[p][i].data.flat


def test_fcn_surgery(saved):
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[1, 3, 12, 12]))
    n.conv1 = L.Convolution(n.data, num_output=6, kernel_size=3, pad=13,
                            param=[dict(lr_mult=1, decay_mult=1), dict(lr_mult=2, decay_mult=0)])
    n.relu1 = L.ReLU(n.conv1, in_place=True)
    n.pool1 = L.Pooling(n.relu1, pool=P.Pooling.MAX, kernel_size=2, stride=2)
    n.fc6 = L.Convolution(n.pool1, num_output=9, kernel_size=6, pad=0)
    n.drop6 = L.Dropout(n.fc6, dropout_ratio=0.5, in_place=True)
    n.score_fr = L.Convolution(n.fc6, num_output=2, kernel_size=1)
    n.upscore = L.Deconvolution(n.score_fr, convolution_param=dict(
        num_output=2, kernel_size=4, stride=2, bias_term=False), param=[dict(lr_mult=0)])
    n.score = crop(n.upscore, n.data)
    model, weights = saved(str(n.to_proto()), "fcn")
    fcn = caffe.Net(model, caffe.TEST)
    interp_layers = [k for k in fcn.params.keys() if "up" in k]
    interp(fcn, interp_layers)
    np.testing.assert_allclose(fcn.params["upscore"][0].data[1, 1, 0],
                               np.array([1, 3, 3, 1]) / 16)
    assert (fcn.params["upscore"][0].data[0, 1] == 0).all()
    net = caffe.Net(*saved(
        input_layer("data", 1, 3, 12, 12) + conv("conv1", "data", 6)
        + layer("pool1", "Pooling", "conv1", None, "pooling_param { kernel_size: 2 stride: 2 }")
        + fc("fc6", "pool1", 9)), caffe.TEST)
    transplant(fcn, net)
    assert (fcn.params["fc6"][0].data.ravel() == net.params["fc6"][0].data.ravel()).all()
    fcn.blobs["data"].reshape(1, 3, 17, 21)
    fcn.blobs["data"].data[...] = np.random.rand(1, 3, 17, 21)
    fcn.forward()
    assert fcn.blobs["score"].data[0].argmax(axis=0).shape == (17, 21)


def test_the_compiled_modules_names():
    """Some scripts reach past the package into pycaffe's compiled module."""
    assert _caffe.Net is caffe.Net and _caffe.SGDSolver is caffe.SGDSolver
    assert issubclass(caffe.SGDSolver, _caffe.Solver) and _caffe.Layer is caffe.Layer
    net = caffe.Net(caffe.prototxt.read_net_text(CLASSIFIER), caffe.TEST)
    vectors = [(net.params["fc7"], _caffe.BlobVec), (net.layers, _caffe.LayerVec),
               (net.inputs, _caffe.StringVec), (net._inputs, _caffe.IntVec),
               (net.layers[0].blobs, _caffe.BlobVec)]
    for vector, kind in vectors:
        assert isinstance(vector, kind)
        assert [vector[i] for i in range(len(vector))] == list(vector)
